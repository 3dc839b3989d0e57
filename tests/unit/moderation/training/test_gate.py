from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from moderation.contracts import Verdict
from moderation.policy import Lowering
from moderation.training.gate import EvaluationSet, GateLimits, Interval, ModelScores, Workload, judge, weighted_auc

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


def test_fewer_than_the_least_comments_are_too_few_and_do_not_stop_the_model() -> None:
    comments, truth = newest(comments=300)
    found = judge(judged(truth), judged(truth), comments, 0, LIMITS)
    assert (found.state, found.is_passed, found.against) == ("too few comments", False, ())
    assert found.reasons[0].startswith("too few comments: 300 of 500; ")
    none = judge(judged(truth[:0]), judged(truth[:0]), newest(comments=0)[0], 0, LIMITS)
    assert none.reasons[0].startswith("too few comments: 0 of 500; 0 are removed")


def test_too_few_of_a_class_need_as_many_more_comments_as_bring_enough_of_it() -> None:
    comments, truth = newest(comments=1_000)
    removed = np.zeros(1_000, bool)
    removed[:10] = True
    found = judge(judged(truth), judged(truth), replace(comments, removed=removed), 0, LIMITS)
    assert found.shortage is not None
    assert (found.shortage.comments, found.shortage.needed) == (1_000, 5_000)


def test_an_interval_that_is_too_wide_is_too_few_comments_and_not_a_stop() -> None:
    comments, truth = newest(comments=1_500)
    sides = judged(blurred(truth, 0.3, seed=9)), judged(blurred(truth, 0.3))
    found = judge(*sides, comments, 0, LIMITS)
    difference = found.intervals["auc"]
    half = (difference.high - difference.low) / 2
    assert half > LIMITS.auc_margin, "or the test shows nothing"
    assert difference.low < -LIMITS.auc_margin < difference.high
    assert (found.state, found.against) == ("too few comments", ())
    assert found.shortage is not None
    assert found.shortage.needed == math.ceil(1_500 * (half / LIMITS.auc_margin) ** 2)


def test_the_stated_number_of_comments_decides() -> None:
    half = {}
    for comments in (1_500, 12_000):
        newer, truth = newest(comments=comments)
        sides = judged(blurred(truth, 0.1)), judged(blurred(truth, 0.1, seed=9))
        found = judge(*sides, newer, 0, LIMITS)
        half[comments] = (found.intervals["auc"].high - found.intervals["auc"].low) / 2
    assert half[12_000] == pytest.approx(half[1_500] * (1_500 / 12_000) ** 0.5, rel=0.2)


def test_a_model_that_is_clearly_worse_is_stopped_however_few_comments_there_are() -> None:
    comments, truth = newest(comments=600)
    found = judge(judged(blurred(truth, 0.8)), judged(truth), comments, 0, LIMITS)
    assert found.intervals["auc"].high < -LIMITS.auc_margin
    assert (found.state, found.shortage) == ("stopped", None)


def test_a_model_that_is_clearly_better_passes_with_few_comments() -> None:
    comments, truth = newest(comments=600)
    lenient = replace(LIMITS, workload_factor=100)
    found = judge(judged(truth), judged(blurred(truth, 0.8)), comments, 0, lenient)
    difference = found.intervals["auc"]
    assert (difference.high - difference.low) / 2 > LIMITS.auc_margin
    assert found.state == "passed"


def test_another_reason_beside_too_few_comments_stops_the_model_and_both_are_named() -> None:
    comments, truth = newest(comments=300)
    found = judge(judged(truth), judged(truth), comments, 2, LIMITS)
    assert found.state == "stopped"
    assert [reason.partition(":")[0] for reason in found.reasons] == [
        "the last night's reconciliation found 2 defects",
        "too few comments",
    ]


def test_a_margin_of_zero_cannot_be_met_by_more_comments_and_stops() -> None:
    comments, truth = newest(comments=1_500)
    sides = judged(blurred(truth, 0.3, seed=9)), judged(blurred(truth, 0.3))
    found = judge(*sides, comments, 0, replace(LIMITS, auc_margin=0.0))
    assert found.intervals["auc"].low < 0
    assert (found.state, found.shortage) == ("stopped", None)


def test_a_goal_that_was_lowered_far_stops_the_model_and_a_little_does_not() -> None:
    comments, truth = newest()
    sides = judged(truth), judged(truth)
    far = Lowering("precision>=0.9", "precision>=0.84", "the best precision is 0.840")
    near = Lowering("precision>=0.9", "precision>=0.86", "the best precision is 0.860")
    dropped = Lowering("precision>=0.9", None, "20 comments are too few to judge it")
    assert judge(*sides, comments, 0, LIMITS, lowered=[near, dropped]).is_passed
    found = judge(*sides, comments, 0, LIMITS, lowered=[far])
    assert found.against == (
        "goal precision>=0.9 was lowered to precision>=0.84: the best precision is 0.840; 0.05 less is allowed",
    )


def test_the_workload_is_that_of_all_comments_and_not_of_the_labelled_ones() -> None:
    comments, truth = newest()
    sides = judged(truth), judged(truth, review=0.4)
    everything = Workload(sides[0].verdicts, sides[1].verdicts, comments.weight, comments.days)
    found = judge(*sides, comments, 0, LIMITS, workload=everything)
    share = np.mean([verdict is Verdict.REVIEW for verdict in sides[1].verdicts])
    assert found.figures["production_reviews_a_day"] == pytest.approx(share * comments.weight.sum() / comments.days)
    none = Workload([Verdict.ALLOW] * 10, [Verdict.REVIEW] * 10, np.ones(10), 1.0)
    assert "reviews a day change from 10 to 0" in judge(*sides, comments, 0, LIMITS, workload=none).reasons[-1]


def test_without_production_only_the_model_itself_is_judged() -> None:
    comments, truth = newest()
    found = judge(judged(truth), None, comments, 0, LIMITS)
    assert found.is_passed
    assert found.intervals == {}
    work = judge(judged(truth), judged(truth), comments, 0, LIMITS).figures
    for name in ("reviews_a_day", "removals_a_day"):
        assert found.figures[name] == work[name] > 0
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
