from __future__ import annotations

import time

import pytest

from moderation.datasets.history import LabelledComment
from moderation.scoring import Kernel, explain, reasons_many
from moderation.scoring.golden import GOLDEN_TEXTS
from tests.support.naughty import NAUGHTY_TEXTS


def check_sum(kernel: Kernel, text: str) -> None:
    explanation = explain(kernel, text)
    parts = explanation.intercept + sum(part.logit for part in explanation.tokens + explanation.surface)
    assert explanation.logit == kernel.logits([text])[0]
    assert explanation.score_ppm == kernel.score_one(text)
    assert parts == pytest.approx(explanation.logit, rel=0, abs=1e-9)
    assert [part.name for part in explanation.tokens] == kernel.lexicon.tokens_of(text)


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.proof)])
def test_naughty_texts_are_scored_in_bounded_time_and_their_explanations_sum(kernel: Kernel, step: int) -> None:
    assert len(NAUGHTY_TEXTS) == 200
    assert max(map(len, NAUGHTY_TEXTS)) == 40_000
    slowest = 0.0
    for text in NAUGHTY_TEXTS[::step]:
        started = time.monotonic()
        assert 0 <= kernel.score_one(text) <= 1_000_000
        slowest = max(slowest, time.monotonic() - started)
        check_sum(kernel, text)
    assert slowest < 10


def test_explanations_of_real_rows_sum(kernel: Kernel, rscience: list[LabelledComment]) -> None:
    for row in rscience[:300]:
        check_sum(kernel, row.comment.body)


def test_reasons_are_the_strongest_tokens_for_removal(kernel: Kernel) -> None:
    reasons = explain(kernel, "thanks you idiot idiot").reasons(2)
    assert [reason.name for reason in reasons] == ["idiot", "you"]
    assert reasons[0].logit > reasons[1].logit > 0
    assert explain(kernel, "").reasons() == []


def test_reasons_of_many_are_the_reasons_of_each(kernel: Kernel) -> None:
    texts = [*NAUGHTY_TEXTS[:90], *GOLDEN_TEXTS]
    expected = [[reason.name for reason in explain(kernel, text).reasons(3)] for text in texts]
    assert reasons_many(kernel, texts, 3) == expected
    assert any(expected)


@pytest.mark.parametrize("text", GOLDEN_TEXTS)
def test_explanations_of_golden_texts_sum(kernel: Kernel, text: str) -> None:
    check_sum(kernel, text)
