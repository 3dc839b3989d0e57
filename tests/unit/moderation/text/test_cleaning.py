from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.text.cleaning import clean


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("nothing to do", "nothing to do"),
        ("", ""),
        ("fish &amp; chips &lt;3 &#39;ok&#39; &#x27;", "fish & chips <3 'ok' '"),
        ("AT&T and R&D stay", "AT&T and R&D stay"),
        ("don<U+2019>t", "don’t"),
        ("<U+D800> and <U+110000> are no characters", "<U+D800> and <U+110000> are no characters"),
        ("see [the study](http://a.example/x) now", "see  the study http://a.example/x  now"),
        ("[no link] (really)", "[no link] (really)"),
        ("yes--no", "yes - no"),
        ("back\\slash\\*", "backslash*"),
        ("it\x92s \x93quoted\x94", "it’s “quoted”"),
    ],
)
def test_cleaning(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned


@pytest.mark.parametrize(
    "raw",
    [
        "&#" + "9" * 5_000 + ";",
        "&#x" + "f" * 5_000 + ";",
        "&#0;",
        "&#xD800;",
        "&" * 40_000,
        "\ud800 &amp;",
        "<U+" * 9_000,
    ],
)
def test_hostile_entities_are_harmless(raw: str) -> None:
    assert isinstance(clean(raw), str)


@pytest.mark.parametrize("unit", ["[", "[a](", "[a](b", "&#1", "&a", "<U+", "--", "\\", "[](", "&lt;"])
def test_cleaning_is_linear_in_the_length(unit: str) -> None:
    started = time.monotonic()
    clean(unit * (400_000 // len(unit)))
    assert time.monotonic() - started < 10


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_can_be_cleaned(raw: str) -> None:
    assert isinstance(clean(raw), str)
