from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cli.train import require_better_than_chance
from moderation.errors import TrainingError
from moderation.training.chance import auc_low
from moderation.training.metrics import Metrics


def metrics(auc: float, comments: int, removed: int) -> Metrics:
    values: dict[str, Any] = {each.name: 0.0 for each in fields(Metrics)}
    return Metrics(**{**values, "auc_mean": auc, "auc_folds": (auc,), "comments": comments, "removed": removed})


def test_the_interval_contains_the_spread_of_resampled_scores() -> None:
    generator = np.random.default_rng(1)
    labels = np.arange(400) < 120
    drawn = [roc_auc_score(labels, generator.normal(size=400) + 0.5 * labels) for _ in range(400)]
    low = float(np.mean(drawn)) - auc_low(metrics(float(np.mean(drawn)), 400, 120))
    assert low == pytest.approx(1.96 * np.std(drawn), rel=0.15)


def test_only_a_model_that_is_surely_better_than_chance_passes() -> None:
    require_better_than_chance(metrics(0.6, 2_000, 500), ())
    for weak in (metrics(0.6, 60, 20), metrics(0.5, 100_000, 50_000), metrics(0.3, 2_000, 500)):
        with pytest.raises(TrainingError, match="no better than chance"):
            require_better_than_chance(weak, ("times",))
        require_better_than_chance(weak, ("chance",))
