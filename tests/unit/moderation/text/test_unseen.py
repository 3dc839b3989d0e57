"""Share of words and word pairs of a text that the training texts lack."""

from __future__ import annotations

import numpy as np
import pytest

from moderation.scoring import ModerationPipeline, new_pipeline
from moderation.text import Lexicon

SHOWN = ["red fox runs", "red dog sleeps", "blue fox sleeps"]


@pytest.fixture(scope="module")
def fitted() -> ModerationPipeline:
    return new_pipeline(Lexicon()).fit(SHOWN, [0, 1, 0])


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("red fox runs", 0),
        ("red fox sleeps", 0),  # every word and pair occurs, but not in one text
        ("fox red", 1 / 3),  # the words are seen, the pair is not
        ("red fox jumps", 2 / 5),  # jumps, and fox jumps
        ("red red red", 1 / 2),  # red, and red red: once each
        ("green cats jump", 1),
        ("", 0),
    ],
)
def test_shares_by_hand(fitted: ModerationPipeline, text: str, share: float) -> None:
    assert fitted.unseen_shares([text], len(SHOWN)).tolist() == pytest.approx([share])


def test_many_are_as_one_by_one_over_slices_too(fitted: ModerationPipeline) -> None:
    texts = [f"red fox number{n} jumps over {'lazy dogs' if n % 3 else ''}" for n in range(1_200)]
    many = fitted.unseen_shares(texts, len(SHOWN))
    assert many.tolist() == [fitted.unseen_shares([text], len(SHOWN))[0] for text in texts]
    assert len(set(many.tolist())) > 1
    assert fitted.unseen_shares([], len(SHOWN)).shape == (0,)


def test_a_word_of_one_text_among_very_many_is_seen() -> None:
    texts = [f"word{n % 50} stands here" for n in range(3_000)] + ["a hapax stands here"]
    fitted = new_pipeline(Lexicon()).fit(texts, np.arange(len(texts)) % 2)
    assert fitted.unseen_shares(["hapax", "never"], len(texts)).tolist() == [0, 1]
