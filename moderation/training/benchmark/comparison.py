"""Compare models on the same folds, with confidence intervals of their differences.

Each model is fitted on all folds but one and scores the one left out; scores are calibrated as in training. Differences
are paired: each resample of the bootstrap draws comments, and both models are measured on them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from threadpoolctl import threadpool_limits

from moderation.errors import TrainingError
from moderation.training.benchmark.baselines import ModelSpec
from moderation.training.examples import Examples
from moderation.training.fit import platt
from moderation.training.folds import assign_folds
from moderation.training.gate import EvaluationSet, GateLimits, Interval, auc_difference
from moderation.training.metrics import Bools, Floats, Metrics, measure

CONFIDENCE = 0.95
RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """The results of one model.

    Attributes:
        spec: the model.
        metrics: measured out of fold.
        probability: out-of-fold probabilities of removal, calibrated, shape (comments,).
        fit_seconds: median time of a fit on one core, with cached tokens.
        comments_per_s: comments scored per second on one core, by a model that has scored them once before.
        difference: its ROC AUC minus the baseline's, over all out-of-fold comments together; None for the baseline.
    """

    spec: ModelSpec
    metrics: Metrics
    probability: Floats
    fit_seconds: float
    comments_per_s: float
    difference: Interval | None

    @property
    def finding(self) -> str:
        """Classification of the difference: ``better``, ``worse``, ``unclear``, or ``baseline``."""
        if self.difference is None:
            return "baseline"
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else "unclear"


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """A comparison of models.

    Attributes:
        models: results, best mean AUC first.
        removed: the labels, shape (comments,).
        data_digest: SHA-256 over the examples, hexadecimal.
        folds: number of folds of the cross-validation.
        seed: seed of folds, models and bootstrap.
    """

    models: tuple[ComparedModel, ...]
    removed: Bools
    data_digest: str
    folds: int
    seed: int

    def fields(self) -> dict[str, Any]:
        """The comparison as JSON fields; see docs/model-comparison.md."""
        return {
            "data_digest": self.data_digest,
            "comments": len(self.removed),
            "removed": int(self.removed.sum()),
            "folds": self.folds,
            "seed": self.seed,
            "confidence": CONFIDENCE,
            "models": [
                {
                    "name": model.spec.name,
                    "title": model.spec.title,
                    "recipe": model.spec.recipe,
                    **{
                        name: value
                        for name, value in asdict(model.metrics).items()
                        if name not in ("comments", "removed")
                    },
                    "fit_seconds": round(model.fit_seconds, 3),
                    "comments_per_s": round(model.comments_per_s),
                    "auc_difference": None if model.difference is None else asdict(model.difference),
                    "finding": model.finding,
                }
                for model in self.models
            ],
        }


def compare(
    examples: Examples,
    baseline: ModelSpec,
    others: Sequence[ModelSpec],
    *,
    folds: int = 5,
    seed: int = 0,
    on_progress: Callable[[str], None] = lambda step: None,
    clock: Callable[[], float] = time.process_time,
) -> ModelComparison:
    """Compare models with a baseline.

    The same examples, models, folds and seed give the same results except times: numerical libraries run on one thread.
    The confidence is that of all intervals together: each has a confidence of 1 − 0.05 / others (Dunn, Multiple
    Comparisons Among Means, JASA 1961), so that with 95 % none of them excludes a difference of 0 by chance.

    Args:
        examples: from :func:`moderation.training.collect_examples`, without weights.
        baseline: the model that the others are compared with.
        others: at least one model.
        folds: number of folds of the cross-validation, at least 2.
        seed: seed of folds and bootstrap.
        on_progress: called with the name of each step when it begins.
        clock: returns seconds; processor time by default, so that other programs do not affect it.

    Raises:
        TrainingError: the comments have no common words, or have weights.
    """
    if examples.weight is not None:
        raise TrainingError("examples", "they carry weights, which not every model takes", "Compare without weights.")
    fold = assign_folds(examples, folds, seed)
    specs = (baseline, *others)
    results: list[tuple[Floats, float, float]] = []
    with threadpool_limits(limits=1):
        for number, spec in enumerate(specs, start=1):
            label = f"{spec.title} (model {number} of {len(specs)})"
            results.append(_out_of_fold(examples, spec, fold, partial(_report, on_progress, label), clock))
    base = results[0][0]
    limits = GateLimits(confidence=1 - (1 - CONFIDENCE) / len(others), resamples=RESAMPLES)
    models = []
    for spec, (probability, fit_seconds, comments_per_s) in zip(specs, results, strict=True):
        difference = None
        if spec is not baseline:
            on_progress(f"{spec.title}: difference to {baseline.title}")
            difference = _difference(probability, base, examples.removed, limits, seed)
        metrics = measure(probability, examples.removed, fold)
        models.append(ComparedModel(spec, metrics, probability, fit_seconds, comments_per_s, difference))
    models.sort(key=lambda model: -model.metrics.auc_mean)
    return ModelComparison(tuple(models), examples.removed, examples.data_digest, folds, seed)


def _out_of_fold(
    examples: Examples,
    spec: ModelSpec,
    fold: NDArray[np.int64],
    on_progress: Callable[[str], None],
    clock: Callable[[], float],
) -> tuple[Floats, float, float]:
    """Calibrated out-of-fold probabilities, median seconds of a fit, comments scored per second."""
    labels = examples.removed.astype(np.int64)
    logits = np.zeros(len(labels))
    folds = int(fold.max()) + 1
    fits: list[float] = []
    scoring = 0.0
    for k in range(folds):
        on_progress(f"fold {k + 1} of {folds}")
        held_out = fold == k
        training_texts = [examples.texts[index] for index in np.flatnonzero(~held_out).tolist()]
        test_texts = [examples.texts[index] for index in np.flatnonzero(held_out).tolist()]
        model = spec.new_model()
        started = clock()
        model.fit(training_texts, labels[~held_out])
        fits.append(clock() - started)
        logits[held_out] = model.decision_function(test_texts)
        # Score again: the first call includes one-time look-ups.
        started = clock()
        model.decision_function(test_texts)
        scoring += clock() - started
    slope, offset = platt(logits, labels)
    return expit(slope * logits + offset), statistics.median(fits), len(labels) / max(scoring, 1e-9)


def _report(on_progress: Callable[[str], None], label: str, step: str) -> None:
    on_progress(f"{label}: {step}")


def _difference(probability: Floats, base: Floats, removed: Bools, limits: GateLimits, seed: int) -> Interval:
    evaluation_set = EvaluationSet(removed, np.ones(len(removed)), np.full(len(removed), ""), days=1.0)
    # The same seed for all models, so that they have the same resamples.
    return auc_difference(probability, base, evaluation_set, limits, np.random.default_rng(seed))
