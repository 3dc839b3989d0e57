"""Comparison with the talk's models on 5,000 real comments: within its time, and in the documented order."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from moderation.datasets.history import LabelledComment
from moderation.scoring import new_pipeline
from moderation.text import Lexicon
from moderation.training import collect_examples
from moderation.training.benchmark.baselines import ModelSpec, usual_baselines
from moderation.training.benchmark.comparison import compare

pytestmark = pytest.mark.proof


def test_our_model_is_best_on_real_comments_within_three_minutes(
    rscience: list[LabelledComment],
) -> None:
    started = time.process_time()
    lexicon = Lexicon()
    ours = ModelSpec("pipeline", "our pipeline", "ours", lambda: new_pipeline(lexicon))
    examples = collect_examples((row.comment, row.removed) for row in rscience)
    models = compare(examples, ours, usual_baselines(lexicon, seed=0)).models
    assert time.process_time() - started < 180
    assert models[0].spec.name == "pipeline"
    assert models[0].metrics.auc_mean > 0.79
    assert all(model.metrics.auc_mean > 0.73 for model in models)
    assert {model.finding for model in models[1:]} == {"worse"}
    assert all(one.metrics.auc_mean >= other.metrics.auc_mean for one, other in pairwise(models))
