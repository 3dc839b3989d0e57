from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import ModelRefused
from moderation.training.seen_texts import SeenTexts

texts = st.lists(st.text(max_size=20), max_size=20)


@given(texts, texts)
def test_exactly_the_texts_that_were_seen_are_contained(seen: list[str], others: list[str]) -> None:
    shown = {" ".join(text.casefold().split()) for text in seen}
    wanted = [" ".join(text.casefold().split()) in shown for text in (*seen, *others)]
    assert SeenTexts.of(seen).contain([*seen, *others]).tolist() == wanted


@given(texts)
def test_bytes_are_repeatable_and_read_back(seen: list[str]) -> None:
    content = SeenTexts.of(seen).to_bytes()
    assert content == SeenTexts.of([*reversed(seen), *(f"  {text} \n" for text in seen)]).to_bytes()
    read = SeenTexts.from_bytes(content, hashlib.sha256(content).hexdigest())
    assert np.array_equal(read.digests, SeenTexts.of(seen).digests)


def test_case_and_white_space_do_not_distinguish_texts() -> None:
    assert SeenTexts.of(["Free  MONEY\n"]).contain(["free money", "free-money", "\ud800"]).tolist() == [
        True,
        False,
        False,
    ]


def test_altered_content_is_refused() -> None:
    content = SeenTexts.of(["a", "b"]).to_bytes()
    with pytest.raises(ModelRefused, match="not the one in the model card"):
        SeenTexts.from_bytes(content[8:], hashlib.sha256(content).hexdigest())
