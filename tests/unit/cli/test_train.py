from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from cli.train import require_better_than_chance
from moderation.errors import TrainingError
from moderation.training.metrics import Metrics


def metrics(auc: float, comments: int, removed: int) -> Metrics:
    values: dict[str, Any] = {each.name: 0.0 for each in fields(Metrics)}
    return Metrics(**{**values, "auc_mean": auc, "auc_folds": (auc,), "comments": comments, "removed": removed})


def test_only_a_model_that_is_surely_better_than_chance_passes() -> None:
    require_better_than_chance(metrics(0.6, 2_000, 500), ())
    for weak in (metrics(0.6, 60, 20), metrics(0.5, 100_000, 50_000), metrics(0.3, 2_000, 500)):
        with pytest.raises(TrainingError, match="no better than chance"):
            require_better_than_chance(weak, ("times",))
        require_better_than_chance(weak, ("chance",))
