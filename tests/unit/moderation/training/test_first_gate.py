"""The gate of a first version: better than chance, enough comments of each class, goals as stated."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from moderation.policy import Lowering
from moderation.training.first_gate import auc_interval, judge_first


def metrics(auc: float, comments: int = 400, removed: int = 100) -> dict[str, float]:
    return {"auc_mean": auc, "comments": comments, "removed": removed}


def test_a_model_that_is_better_than_chance_passes() -> None:
    judged = judge_first(metrics(0.8))
    assert judged.is_passed
    assert judged.intervals["auc"].low > 0.5
    assert judge_first(metrics(1.0)).is_passed


@pytest.mark.parametrize("auc", [0.3, 0.5, 0.55])
def test_a_model_that_may_be_no_better_than_chance_is_stopped(auc: float) -> None:
    judged = judge_first(metrics(auc))
    assert judged.state == "stopped"
    assert "may be no better than chance" in judged.reasons[0]


def test_more_comments_show_that_a_weak_model_is_better_than_chance() -> None:
    assert judge_first(metrics(0.55, 40_000, 10_000)).is_passed


@pytest.mark.parametrize("removed", [0, 19, 381, 400])
def test_too_few_comments_of_a_class_stop_it(removed: int) -> None:
    assert "at least 20 of each are needed" in judge_first(metrics(0.9, 400, removed)).reasons[0]


def test_a_goal_that_is_not_met_as_stated_stops_it() -> None:
    judged = judge_first(metrics(0.9), [Lowering("precision>=0.9", "precision>=0.8", "too few")])
    assert judged.reasons == ("goal precision>=0.9 was lowered to precision>=0.8: too few",)


def test_the_interval_contains_the_true_auc_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    kept, removed = 120, 60
    labels = np.repeat([0, 1], [kept, removed])
    true_auc = 0.7602  # of two normal distributions one standard deviation apart: Phi(1 / sqrt(2))
    hits = 0
    for _ in range(400):
        auc = float(roc_auc_score(labels, rng.normal(labels, 1.0)))
        interval = auc_interval(auc, removed, kept, 0.95)
        hits += interval.low <= true_auc <= interval.high
    assert 0.92 <= hits / 400 <= 0.98
