"""Compare models on the same folds, with confidence intervals of their differences.

Each model is fitted on all folds but one and scores the one left out; scores are calibrated as in training. Differences
are paired: each resample of the bootstrap draws comments, and both models are measured on them.

A model that is fitted already, e.g. a registered version, scores all comments as it is. It is measured on those that it
was not trained on, and the baseline is measured on the same ones for their difference.
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
from moderation.training.examples import LEAST_OF_A_CLASS, Examples
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
        is_measured: comments that it is measured on: all but those that a fitted model has seen, shape (comments,).
        fit_seconds: median time of a fit on one core, with cached tokens; None for a fitted model.
        comments_per_s: comments scored per second on one core, by a model that has scored them once before.
        difference: its ROC AUC minus the baseline's, over all out-of-fold comments together; None for the baseline.
    """

    spec: ModelSpec
    metrics: Metrics
    probability: Floats
    is_measured: Bools
    fit_seconds: float | None
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
                    "comments": model.metrics.comments,
                    "fit_seconds": None if model.fit_seconds is None else round(model.fit_seconds, 3),
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
        TrainingError: the comments have no common words, or have weights; a fitted model has seen nearly all of them.
    """
    if examples.weight is not None:
        raise TrainingError("examples", "they carry weights, which not every model takes", "Compare without weights.")
    fold = assign_folds(examples, folds, seed)
    specs = (baseline, *others)
    measured = [_unseen(examples, spec, fold) for spec in specs]
    results: list[tuple[Floats, float | None, float]] = []
    with threadpool_limits(limits=1):
        for number, spec in enumerate(specs, start=1):
            label = f"{spec.title} (model {number} of {len(specs)})"
            results.append(_out_of_fold(examples, spec, fold, partial(_report, on_progress, label), clock))
    base = results[0][0]
    limits = GateLimits(confidence=1 - (1 - CONFIDENCE) / len(others), resamples=RESAMPLES)
    models = []
    for spec, (probability, fit_seconds, comments_per_s), members in zip(specs, results, measured, strict=True):
        difference = None
        if spec is not baseline:
            on_progress(f"{spec.title}: difference to {baseline.title}")
            difference = _difference(probability[members], base[members], examples.removed[members], limits, seed)
        metrics = measure(probability[members], examples.removed[members], fold[members])
        models.append(ComparedModel(spec, metrics, probability, members, fit_seconds, comments_per_s, difference))
    models.sort(key=lambda model: -model.metrics.auc_mean)
    return ModelComparison(tuple(models), examples.removed, examples.data_digest, folds, seed)


def _out_of_fold(
    examples: Examples,
    spec: ModelSpec,
    fold: NDArray[np.int64],
    on_progress: Callable[[str], None],
    clock: Callable[[], float],
) -> tuple[Floats, float | None, float]:
    """Calibrated out-of-fold probabilities, median seconds of a fit (None: no fit), comments scored per second."""
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
        if not spec.is_fitted:
            started = clock()
            model.fit(training_texts, labels[~held_out])
            fits.append(clock() - started)
        logits[held_out] = model.decision_function(test_texts)
        # Score again: the first call includes one-time look-ups.
        started = clock()
        model.decision_function(test_texts)
        scoring += clock() - started
    slope, offset = (1.0, 0.0) if spec.is_fitted else platt(logits, labels)
    fit_seconds = statistics.median(fits) if fits else None
    return expit(slope * logits + offset), fit_seconds, len(labels) / max(scoring, 1e-9)


def _unseen(examples: Examples, spec: ModelSpec, fold: NDArray[np.int64]) -> Bools:
    """Return the comments that a model may be measured on.

    Raises:
        TrainingError: it has seen nearly all comments of a label, or of a label of a fold.
    """
    if spec.seen is None:
        return np.ones(len(examples.texts), bool)
    unseen = ~spec.seen.contain(examples.texts)
    for is_of_label, name in ((examples.removed, "removed"), (~examples.removed, "kept")):
        left = unseen & is_of_label
        if left.sum() < LEAST_OF_A_CLASS or len(np.unique(fold[left])) <= fold.max():
            raise TrainingError(
                spec.title,
                f"it was trained on {int((~unseen).sum()):,} of these {len(unseen):,} comments, and "
                f"{int(left.sum()):,} {name} ones are left to measure it on",
                "Compare it on comments that it has not seen.",
            )
    return unseen


def _report(on_progress: Callable[[str], None], label: str, step: str) -> None:
    on_progress(f"{label}: {step}")


def _difference(probability: Floats, base: Floats, removed: Bools, limits: GateLimits, seed: int) -> Interval:
    evaluation_set = EvaluationSet(removed, np.ones(len(removed)), np.full(len(removed), ""), days=1.0)
    # The same seed for all models, so that they have the same resamples.
    return auc_difference(probability, base, evaluation_set, limits, np.random.default_rng(seed))
