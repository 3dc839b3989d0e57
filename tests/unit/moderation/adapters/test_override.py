"""Overrides have a reason and an end of at most seven days; any other value is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.adapters.override import FORM, Override, override_in_effect, parse_override
from moderation.errors import ModelRefused
from moderation.timestamps import DAY_US, MINUTE_US

END_US = 1_796_148_000_000_000  # 2026-12-01T18:00Z


def test_the_form_in_every_message_is_one_that_is_read() -> None:
    assert parse_override(FORM) == Override("REASON", END_US)


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1).filter(str.isprintable),
    st.integers(0, 4_000_000_000),
)
def test_what_is_written_is_read_again(reason: str, minute: int) -> None:
    override = Override(reason, minute * MINUTE_US % (250_000 * DAY_US))
    assert parse_override(str(override)) == override


@pytest.mark.parametrize(
    "value",
    [
        "ticket 7",
        "until 2026-12-01T18:00Z",
        " until 2026-12-01T18:00Z",
        "ticket 7 until 2026-12-01",
        "ticket 7 until 2026-12-01T18:00",
        "ticket 7 until 2026-12-01T18:00:00Z",
        "ticket 7 until 2026-12-01T18:00+01:00",
        "ticket 7 until 2026-13-01T18:00Z",
        "ticket 7 until 2026-12-01T18:00Z or later",
        "ticket 7 until ٢٠٢٦-12-01T18:00Z",
        "ticket 7 UNTIL 2026-12-01T18:00Z",
        "ticket\x007 until 2026-12-01T18:00Z",
        "ticket\n7 until 2026-12-01T18:00Z",
    ],
)
def test_a_value_of_another_form_is_refused(value: str) -> None:
    with pytest.raises(ModelRefused, match="tag moderation.override: its? ") as refused:
        override_in_effect("version 7", value, END_US - 1, is_allowed=True)
    assert FORM in str(refused.value)


def test_the_last_until_is_the_end() -> None:
    assert (
        parse_override("wait until 2026-01-01T00:00Z until 2026-12-01T18:00Z").reason == "wait until 2026-01-01T00:00Z"
    )


def test_an_override_is_in_effect_for_at_most_seven_days_before_its_end() -> None:
    value = "ticket 7 until 2026-12-01T18:00Z"
    for now_us in (END_US - 1, END_US - 7 * DAY_US):
        assert override_in_effect("version 7", value, now_us, is_allowed=True).until_us == END_US
    with pytest.raises(ModelRefused, match="its override has ended"):
        override_in_effect("version 7", value, END_US, is_allowed=True)
    with pytest.raises(ModelRefused, match="more than 7 days ahead"):
        override_in_effect("version 7", value, END_US - 7 * DAY_US - 1, is_allowed=True)
    with pytest.raises(ModelRefused, match="MODERATION_OVERRIDES is forbidden"):
        override_in_effect("version 7", value, END_US - 1, is_allowed=False)
