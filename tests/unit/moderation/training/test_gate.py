from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from moderation.contracts import Verdict
from moderation.training.gate import EvaluationSet, GateLimits, Interval, ModelScores, judge, weighted_auc

COMMENTS = 3_000
LIMITS = GateLimits(resamples=200)


def newest(seed: int = 0, comments: int = COMMENTS) -> tuple[EvaluationSet, NDArray[np.float64]]:
    """Comments of two communities, and the true probability that each is removed."""
    rng = np.random.default_rng(seed)
    truth = rng.beta(0.6, 2.4, comments)
    removed = rng.random(comments) < truth
    community = np.where(rng.random(comments) < 0.7, "science", "cooking")
    return EvaluationSet(removed, np.ones(comments), community, 7.0), truth


def judged(probability: NDArray[np.float64], review: float = 0.3, remove: float = 0.7) -> ModelScores:
    verdicts = [
        Verdict.REMOVE if each >= remove else Verdict.REVIEW if each >= review else Verdict.ALLOW
        for each in probability.tolist()
    ]
    return ModelScores(probability, verdicts)


def blurred(truth: NDArray[np.float64], by: float, seed: int = 1) -> NDArray[np.float64]:
    """Scores of a weaker model, calibrated because they are mixed with the mean."""
    noise = np.random.default_rng(seed).permutation(truth)
    return (1 - by) * truth + by * noise


def test_a_better_model_passes() -> None:
    comments, truth = newest()
    found = judge(judged(truth), judged(blurred(truth, 0.1)), comments, 0, LIMITS)
    assert found.reasons == ()
    assert found.is_passed
    assert found.intervals["auc"].value > 0


def test_the_same_model_passes() -> None:
    comments, truth = newest()
    found = judge(judged(truth), judged(truth), comments, 0, LIMITS)
    assert found.is_passed
    assert found.intervals["auc"] == Interval(0.0, 0.0, 0.0)
    assert found.intervals["reviews"] == Interval(1.0, 1.0, 1.0)


def test_a_model_of_shuffled_labels_fails_with_every_reason() -> None:
    comments, truth = newest()
    shuffled = np.random.default_rng(2).permutation(truth) ** 0.25
    found = judge(judged(shuffled), judged(truth), comments, 3, LIMITS)
    text = "\n".join(found.reasons)
    assert "the last night's reconciliation found 3 defects" in text
    assert "calibration error" in text
    assert "its AUC may be" in text
    assert "removals a day change" in text
    assert "in science its AUC is lower" in text
    assert "in cooking its AUC is lower" in text


@pytest.mark.parametrize(
    ("night", "reason"),
    [(None, "no day was reconciled recently"), (1, "the last night's reconciliation found 1 defects")],
)
def test_defects_or_no_reconciliation_fail_the_gate(night: int | None, reason: str) -> None:
    comments, truth = newest()
    found = judge(judged(truth), judged(truth), comments, night, LIMITS)
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith(reason)


def test_a_model_that_is_worse_in_one_community_fails() -> None:
    comments, truth = newest(comments=6_000)
    cooking = comments.community == "cooking"
    partly = np.where(cooking, np.random.default_rng(4).permutation(truth), truth)
    lenient = replace(LIMITS, auc_margin=1.0, calibration_error=1.0, workload_factor=100)
    found = judge(judged(partly), judged(truth), comments, 0, lenient)
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith("in cooking")


def test_twice_the_reviews_are_out_of_bounds_and_the_interval_decides() -> None:
    comments, truth = newest()
    eager = judged(truth, review=0.08)
    found = judge(eager, judged(truth), comments, 0, LIMITS)
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith("reviews a day change")
    assert judge(eager, judged(truth), comments, 0, replace(LIMITS, workload_factor=100)).is_passed


def test_too_few_comments_fail_the_gate() -> None:
    comments, truth = newest(comments=300)
    found = judge(judged(truth), judged(truth), comments, 0, LIMITS)
    assert len(found.reasons) == 1
    assert "are too few" in found.reasons[0]


def test_without_production_only_the_model_itself_is_judged() -> None:
    comments, truth = newest()
    assert judge(judged(truth), None, comments, 0, LIMITS).is_passed
    assert "no better than chance" in judge(judged(1 - truth), None, comments, 0, LIMITS).reasons[-1]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_judgement() -> None:
    comments, truth = newest()
    sides = judged(truth), judged(blurred(truth, 0.3))
    assert judge(*sides, comments, 0, LIMITS, seed=5) == judge(*sides, comments, 0, LIMITS, seed=5)
    assert judge(*sides, comments, 0, LIMITS, seed=5) != judge(*sides, comments, 0, LIMITS, seed=6)


@given(st.integers(0, 10_000))
def test_the_weighted_auc_is_sklearns_ties_and_weights_included(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, 8, 60) / 8
    removed = rng.random(60) < 0.4
    removed[:2] = (True, False)
    weight = rng.uniform(0.1, 5, 60)
    assert weighted_auc(score, removed, weight) == pytest.approx(roc_auc_score(removed, score, sample_weight=weight))
