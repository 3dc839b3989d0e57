"""Every combination of characters that COPY treats as special is one field and reads as it was."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from moderation.adapters.sql import copy_format

_MEANINGS = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}
TEXTS = st.lists(st.sampled_from(["\\", "\t", "\n", "\r", "N", "n", ".", "é", "x"])).map("".join)


@given(TEXTS)
def test_a_text_is_one_field_that_reads_as_the_text(value: str) -> None:
    field = copy_format.text(value)
    assert not {"\t", "\n", "\r"} & set(field)
    assert re.sub(r"\\.", lambda escape: _MEANINGS[escape[0]], field) == value
