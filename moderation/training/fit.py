"""Train a model deterministically: cross-validate, calibrate, resolve the policy, fit on all examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from moderation.policy import Goal, Lowering, Policy, resolve_policy, resolve_reachable
from moderation.progress import Step
from moderation.training.examples import Examples
from moderation.training.folds import assign_folds
from moderation.training.metrics import Bools, Floats, Metrics, measure


class Estimator(Protocol):
    """Interface of a trainable model, e.g. ``scoring.ModerationPipeline``."""

    def fit(self, texts: Sequence[str], y: NDArray[np.int64], *, sample_weight: Floats | None) -> Any:
        """Fit on bodies, labels (1 = removed) and weights."""

    def decision_function(self, texts: Sequence[str]) -> Floats:
        """Log-odds of removal, shape (texts,)."""

    def unseen_shares(self, texts: Sequence[str], fitted_on: int) -> Floats:
        """Share of word features of each text that the training texts lack, shape (texts,)."""

    def calibrate(self, slope: float, offset: float) -> Self:
        """Replace the logit by slope·logit + offset."""


E = TypeVar("E", bound=Estimator)


@dataclass(frozen=True, slots=True)
class Trained(Generic[E]):
    """A fitted model with its measurements.

    Attributes:
        estimator: fitted on all examples, calibrated.
        metrics: measured out of fold.
        policy: thresholds resolved on ``probability``.
        probability: out-of-fold probabilities of removal, calibrated, shape (comments,).
        unseen: share of word features of each comment that the other folds lack, shape (comments,).
        lowered: goals that the policy meets in a lowered form only, or not at all.
    """

    estimator: E
    metrics: Metrics
    policy: Policy
    probability: Floats
    unseen: Floats
    lowered: tuple[Lowering, ...] = ()


def train(
    examples: Examples,
    new_estimator: Callable[[], E],
    goals: Sequence[Goal],
    *,
    folds: int = 5,
    seed: int = 0,
    comments_per_day: float | None = None,
    lower_goals: bool = False,
    on_progress: Callable[[str], None] = lambda step: None,
) -> Trained[E]:
    """Train a model.

    The same examples, goals, folds and seed give the same model: numerical libraries run on one thread, because their
    sums depend on the number of threads.

    Args:
        examples: from :func:`moderation.training.examples.collect_examples`.
        new_estimator: creates an unfitted model.
        goals: goals that the policy must meet.
        folds: number of folds of the cross-validation, at least 2.
        seed: seed for shuffling the folds.
        comments_per_day: volume, for goals on reviews per day.
        lower_goals: replace goals that cannot be met by the nearest ones that can.
        on_progress: called with the name of each step when it begins.

    Raises:
        GoalUnmet: no thresholds meet the goals on the out-of-fold scores, and ``lower_goals`` is False.
        ConfigurationError: the goals contradict each other.
    """
    labels = examples.removed.astype(np.int64)
    fold = assign_folds(examples, folds, seed)
    logits, unseen = np.zeros(len(labels)), np.zeros(len(labels))
    with threadpool_limits(limits=1):
        for k in range(folds):
            on_progress(Step(f"fold {k + 1} of {folds}", k / (folds + 1)))
            held_out = fold == k
            estimator = new_estimator()
            weight = None if examples.weight is None else examples.weight[~held_out]
            shown, others = _where(examples.texts, ~held_out), _where(examples.texts, held_out)
            estimator.fit(shown, labels[~held_out], sample_weight=weight)
            logits[held_out] = estimator.decision_function(others)
            unseen[held_out] = estimator.unseen_shares(others, len(shown))
        slope, offset = platt(logits, labels, examples.weight)
        probability = expit(slope * logits + offset)
        scores_ppm = np.rint(1_000_000 * probability).astype(np.int64)
        labelled = scores_ppm, examples.removed, goals, comments_per_day, examples.weight
        policy, lowered = resolve_reachable(*labelled) if lower_goals else (resolve_policy(*labelled), ())
        on_progress(Step("the model on all comments", folds / (folds + 1)))
        final = new_estimator()
        final.fit(examples.texts, labels, sample_weight=examples.weight)
        final.calibrate(slope, offset)
    metrics = measure(probability, examples.removed, fold, examples.weight)
    return Trained(final, metrics, policy, probability, unseen, lowered)


def platt(logits: Floats, labels: NDArray[np.int64], weight: Floats | None = None) -> tuple[float, float]:
    """Fit slope and offset that calibrate logits: logistic regression on one variable.

    Platt, Probabilistic Outputs for Support Vector Machines, 1999. A model that ranks worse than chance keeps
    slope 1 and offset 0: a negative slope would hide that the model is broken.
    """
    fitted = LogisticRegression(C=1e9, tol=1e-8).fit(logits[:, None], labels, weight)
    slope = float(fitted.coef_[0, 0])
    return (slope, float(fitted.intercept_[0])) if slope > 0 else (1.0, 0.0)


def _where(texts: Sequence[str], mask: Bools) -> list[str]:
    return [texts[index] for index in np.flatnonzero(mask).tolist()]
