"""Whether a model may be put before a person as challenger: a pure function that lists every reason against it.

Both models judge the same newest comments, whose labels came after both were trained. Differences are paired: each
resample of the bootstrap draws comments, not scores, so what both find hard cancels out. Comments are weighted by the
inverse of their inclusion probability (Horvitz and Thompson, A Generalization of Sampling Without Replacement From a
Finite Universe, JASA 1952).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.contracts import Verdict
from moderation.training.metrics import calibration_error

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What is still good enough.

    Attributes:
        auc_margin: the challenger's ROC AUC may be this much lower, at the lower end of the difference's interval.
        calibration_error: how much larger than by chance the expected calibration error may be.
        workload_factor: reviews and removals a day may change by this factor up or down.
        community_margin: no community's AUC may be this much lower, even at the upper end of its interval.
        least_comments: fewer comments, or removed ones below a tenth of it, decide nothing.
        least_of_community: communities with fewer comments are not judged on their own.
        confidence: of all intervals.
        resamples: of the bootstrap.
    """

    auc_margin: float = 0.01
    calibration_error: float = 0.05
    workload_factor: float = 1.5
    community_margin: float = 0.05
    least_comments: int = 500
    least_of_community: int = 200
    confidence: float = 0.95
    resamples: int = 500


@dataclass(frozen=True, slots=True)
class ModelScores:
    """One model's judgement of the newest comments, all of shape (comments,).

    Attributes:
        probability: of removal, in [0, 1].
        verdicts: by the model's own policy.
    """

    probability: Floats
    verdicts: Sequence[Verdict]


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """The newest comments with labels, all of shape (comments,).

    Attributes:
        removed: what people did.
        weight: inverse inclusion probability.
        community: of each comment.
        days: how many days they span.
    """

    removed: Bools
    weight: Floats
    community: NDArray[np.str_]
    days: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate found.

    Attributes:
        reasons: everything that speaks against the challenger, in words; empty when it may pass.
        figures: what was compared, by name.
        intervals: differences and changes, challenger against production, by name.
    """

    reasons: tuple[str, ...]
    figures: Mapping[str, float]
    intervals: Mapping[str, Interval]

    @property
    def is_passed(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


def judge(
    challenger: ModelScores,
    production: ModelScores | None,
    newest: EvaluationSet,
    last_night_defects: int | None,
    limits: GateLimits | None = None,
    seed: int = 0,
) -> Judgement:
    """Judge a challenger.

    Args:
        challenger: the model that wants to pass.
        production: the model that serves; None when none does, then only what needs no comparison is judged.
        newest: the comments both judged.
        last_night_defects: of the last night's reconciliation; None when there was none.
        limits: the defaults if None.
        seed: of the bootstrap; the same seed gives the same judgement.
    """
    limits = limits or GateLimits()
    reasons: list[str] = []
    figures: dict[str, float] = {"comments": len(newest.removed), "removed": int(newest.removed.sum())}
    intervals: dict[str, Interval] = {}
    if last_night_defects is None:
        reasons.append("no day was reconciled of late: whether the last night was sound is not known")
    elif last_night_defects:
        reasons.append(f"the last night's reconciliation found {last_night_defects} defects")
    kept = min(figures["removed"], figures["comments"] - figures["removed"])
    if figures["comments"] < limits.least_comments or kept < limits.least_comments / 10:
        reasons.append(
            f"{figures['comments']:,.0f} comments with {figures['removed']:,.0f} removed decide nothing; "
            f"{limits.least_comments:,} with a tenth of either kind are needed"
        )
        return Judgement(tuple(reasons), figures, intervals)
    figures["auc"] = weighted_auc(challenger.probability, newest.removed, newest.weight)
    rng = np.random.default_rng(seed)
    figures["calibration_error"] = calibration_error(challenger.probability, newest.removed, newest.weight)
    figures["calibration_error_by_chance"] = _chance_error(challenger.probability, newest.weight, limits, rng)
    excess = figures["calibration_error"] - figures["calibration_error_by_chance"]
    if excess > limits.calibration_error:
        reasons.append(
            f"its calibration error is {figures['calibration_error']:.3f}, {excess:.3f} more than a calibrated model's "
            f"would be here by chance; {limits.calibration_error} is allowed"
        )
    if production is not None:
        _compare(challenger, production, newest, limits, rng, reasons, figures, intervals)
    elif figures["auc"] <= 0.5:
        reasons.append(f"its AUC of {figures['auc']:.3f} is no better than chance")
    return Judgement(tuple(reasons), figures, intervals)


def _compare(
    challenger: ModelScores,
    production: ModelScores,
    newest: EvaluationSet,
    limits: GateLimits,
    rng: np.random.Generator,
    reasons: list[str],
    figures: dict[str, float],
    intervals: dict[str, Interval],
) -> None:
    figures["production_auc"] = weighted_auc(production.probability, newest.removed, newest.weight)
    difference = auc_difference(challenger.probability, production.probability, newest, limits, rng)
    intervals["auc"] = difference
    if difference.low < -limits.auc_margin:
        reasons.append(
            f"its AUC may be {-difference.low:.3f} lower than production's ({difference.value:+.3f}, "
            f"{difference.low:+.3f} to {difference.high:+.3f}); {limits.auc_margin} is allowed"
        )
    for verdict, what in ((Verdict.REVIEW, "reviews"), (Verdict.REMOVE, "removals")):
        ours, theirs = (np.array([each is verdict for each in model.verdicts]) for model in (challenger, production))
        figures[f"{what}_a_day"] = float((ours * newest.weight).sum() / newest.days)
        figures[f"production_{what}_a_day"] = float((theirs * newest.weight).sum() / newest.days)
        change = _workload_change(ours, theirs, newest.weight, limits, rng)
        intervals[what] = change
        if change.low > limits.workload_factor or change.high < 1 / limits.workload_factor:
            reasons.append(
                f"{what} a day change from {figures[f'production_{what}_a_day']:,.0f} to "
                f"{figures[f'{what}_a_day']:,.0f}, by {change.low:.2f} to {change.high:.2f} times; "
                f"{1 / limits.workload_factor:.2f} to {limits.workload_factor} is allowed"
            )
    for community in np.unique(newest.community).tolist():
        own = newest.community == community
        removed = int(newest.removed[own].sum())
        if own.sum() < limits.least_of_community or not 0 < removed < own.sum():
            continue
        part = EvaluationSet(newest.removed[own], newest.weight[own], newest.community[own], newest.days)
        worse = auc_difference(challenger.probability[own], production.probability[own], part, limits, rng)
        intervals[f"auc in {community}"] = worse
        if worse.high < -limits.community_margin:
            reasons.append(
                f"in {community} its AUC is lower by {-worse.value:.3f} ({worse.low:+.3f} to {worse.high:+.3f}); "
                f"{limits.community_margin} is allowed"
            )


def weighted_auc(score: Floats, removed: Bools, weight: Floats) -> float:
    """Area under the ROC curve of weighted comments; ties count half. NaN when there is one class only.

    Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 2006.
    """
    ranks, groups = np.unique(score, return_inverse=True)
    return _auc_of(groups, len(ranks), removed, weight)


def auc_difference(
    challenger: Floats, production: Floats, newest: EvaluationSet, limits: GateLimits, rng: np.random.Generator
) -> Interval:
    """How much larger the challenger's AUC is, with the percentile interval of a paired bootstrap.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    sides = [np.unique(score, return_inverse=True) for score in (challenger, production)]

    def difference(weight: Floats) -> float:
        ours, theirs = (_auc_of(groups, len(ranks), newest.removed, weight) for ranks, groups in sides)
        return ours - theirs

    count = len(newest.removed)
    drawn = [
        difference(newest.weight * rng.multinomial(count, np.full(count, 1 / count))) for _ in range(limits.resamples)
    ]
    return _interval(difference(newest.weight), drawn, limits)


def _workload_change(
    ours: Bools, theirs: Bools, weight: Floats, limits: GateLimits, rng: np.random.Generator
) -> Interval:
    # Half a comment on each side: a model that asks for nothing at all changes by much, and not by infinity.
    half = 0.5 * float(weight.mean())

    def change(weights: Floats) -> float:
        return float(((ours * weights).sum() + half) / ((theirs * weights).sum() + half))

    count = len(weight)
    drawn = [change(weight * rng.multinomial(count, np.full(count, 1 / count))) for _ in range(limits.resamples)]
    return _interval(change(weight), drawn, limits)


def _chance_error(probability: Floats, weight: Floats, limits: GateLimits, rng: np.random.Generator) -> float:
    """The mean calibration error when removals are drawn with these probabilities: what few comments make of it."""
    drawn = [
        calibration_error(probability, rng.random(len(probability)) < probability, weight)
        for _ in range(limits.resamples)
    ]
    return float(np.mean(drawn))


def _interval(value: float, drawn: Sequence[float], limits: GateLimits) -> Interval:
    tail = 50 * (1 - limits.confidence)
    low, high = np.nanpercentile(drawn, (tail, 100 - tail))
    return Interval(value, float(low), float(high))


def _auc_of(groups: NDArray[np.int64], ranks: int, removed: Bools, weight: Floats) -> float:
    positive = np.bincount(groups, weight * removed, ranks)
    negative = np.bincount(groups, weight * ~removed, ranks)
    below = np.cumsum(negative) - negative
    pairs = positive.sum() * negative.sum()
    return float((positive * (below + negative / 2)).sum() / pairs) if pairs else float("nan")
