"""The gate: decide whether a model may become challenger, with all reasons against it. Pure functions.

Both models score the same newest comments, which neither was trained on. Differences are paired: each resample of the
bootstrap draws comments, and both models are measured on them. Comments are weighted by the inverse of their inclusion
probability (Horvitz and Thompson, A Generalization of Sampling Without Replacement From a Finite Universe, JASA 1952).

There are three outcomes. ``stopped``: a criterion speaks against the challenger. ``too few comments``: none does, but
there are too few comments to know that it is not worse. ``passed``: neither.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from moderation.contracts import Verdict
from moderation.policy import Lowering
from moderation.training.metrics import calibration_error

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_WORK = ((Verdict.REVIEW, "reviews"), (Verdict.REMOVE, "removals"))
GateState = Literal["passed", "stopped", "too few comments"]


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Limits of the gate.

    Attributes:
        auc_margin: maximum by which the challenger's ROC AUC may be lower, at the lower end of the interval.
        calibration_error: maximum excess of the expected calibration error over its value by chance.
        workload_factor: reviews and removals a day may change by this factor up or down.
        goal_margin: maximum by which a precision or recall of the policy may be below the stated goal.
        community_margin: maximum by which the AUC in a community may be lower, at the upper end of the interval.
        least_comments: minimum number of comments; removed and kept ones need a tenth of it.
        least_of_community: minimum number of comments of a community that is measured separately.
        confidence: confidence of all intervals.
        resamples: number of bootstrap resamples.
    """

    auc_margin: float = 0.01
    calibration_error: float = 0.05
    workload_factor: float = 1.5
    goal_margin: float = 0.05
    community_margin: float = 0.05
    least_comments: int = 500
    least_of_community: int = 200
    confidence: float = 0.95
    resamples: int = 500


@dataclass(frozen=True, slots=True)
class ModelScores:
    """Scores and verdicts of one model on the evaluation set, all of shape (comments,).

    Attributes:
        probability: probability of removal, in [0, 1].
        verdicts: verdicts by the policy of the model.
    """

    probability: Floats
    verdicts: Sequence[Verdict]


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """The newest labelled comments, all of shape (comments,).

    Attributes:
        removed: True if moderators removed the comment.
        weight: inverse inclusion probability.
        community: community of each comment.
        days: time span of the comments, in days.
    """

    removed: Bools
    weight: Floats
    community: NDArray[np.str_]
    days: float


@dataclass(frozen=True, slots=True)
class Workload:
    """Verdicts of both models on all comments of a time, with or without a label, all of shape (comments,).

    Comments that production did not allow often have no label. Without them its workload would look too small.

    Attributes:
        challenger, production: verdicts by the policy of each model.
        weight: number of comments that each one represents.
        days: time span of the comments, in days.
    """

    challenger: Sequence[Verdict]
    production: Sequence[Verdict]
    weight: Floats
    days: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Shortage:
    """Too few comments for a decision.

    Attributes:
        comments: number of comments.
        needed: number of comments that would suffice.
        cause: what the comments do not determine.
    """

    comments: int
    needed: int
    cause: str

    def __str__(self) -> str:
        return f"too few comments: {self.comments:,} of {self.needed:,}; {self.cause}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of the gate.

    Attributes:
        against: what speaks against the challenger.
        shortage: why the comments are too few; None if they suffice.
        figures: measured values, by name.
        intervals: differences and changes, challenger against production, by name.
    """

    against: tuple[str, ...]
    shortage: Shortage | None
    figures: Mapping[str, float]
    intervals: Mapping[str, Interval]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every reason why the challenger does not pass; empty if it passes."""
        return self.against if self.shortage is None else (*self.against, str(self.shortage))

    @property
    def state(self) -> GateState:
        """The outcome; ``stopped`` if something speaks against the challenger and the comments are too few, too."""
        if self.against:
            return "stopped"
        return "passed" if self.shortage is None else "too few comments"

    @property
    def is_passed(self) -> bool:
        """Whether the challenger passes."""
        return self.state == "passed"


def judge(
    challenger: ModelScores,
    production: ModelScores | None,
    newest: EvaluationSet,
    last_night_defects: int | None,
    limits: GateLimits | None = None,
    seed: int = 0,
    lowered: Sequence[Lowering] = (),
    workload: Workload | None = None,
) -> Judgement:
    """Run the gate for a challenger.

    Args:
        challenger: scores of the challenger.
        production: scores of the serving model; without one (None) only checks without comparison run.
        newest: the comments that both models scored.
        last_night_defects: defects of the last reconciliation; None if there was none.
        limits: the defaults if None.
        seed: seed of the bootstrap; the same seed gives the same result.
        lowered: goals that the challenger's policy meets in a lowered form only, or not at all.
        workload: verdicts on all comments of the time, which show the workload; those on ``newest`` if None.
    """
    limits = limits or GateLimits()
    reasons: list[str] = []
    shortage = None
    figures: dict[str, float] = {"comments": len(newest.removed), "removed": int(newest.removed.sum())}
    intervals: dict[str, Interval] = {}
    if last_night_defects is None:
        reasons.append("no day was reconciled recently, so defects of the last night are unknown")
    elif last_night_defects:
        reasons.append(f"the last night's reconciliation found {last_night_defects} defects")
    reasons += [f"{each}; {limits.goal_margin} less is allowed" for each in lowered if each.by > limits.goal_margin]
    if (least := _least(newest.removed, limits)) is not None:
        return Judgement(tuple(reasons), least, figures, intervals)
    figures["auc"] = weighted_auc(challenger.probability, newest.removed, newest.weight)
    rng = np.random.default_rng(seed)
    figures["calibration_error"] = calibration_error(challenger.probability, newest.removed, newest.weight)
    figures["calibration_error_by_chance"] = _chance_error(challenger.probability, newest.weight, limits, rng)
    excess = figures["calibration_error"] - figures["calibration_error_by_chance"]
    if excess > limits.calibration_error:
        reasons.append(
            f"its calibration error is {figures['calibration_error']:.3f}, {excess:.3f} more than by chance "
            f"for a calibrated model; {limits.calibration_error} is allowed"
        )
    if production is not None:
        shortage = _compare(challenger, production, newest, workload, limits, rng, reasons, figures, intervals)
        return Judgement(tuple(reasons), shortage, figures, intervals)
    for verdict, what in _WORK:
        figures[f"{what}_a_day"] = _a_day(challenger.verdicts, verdict, newest.weight, newest.days)
    if figures["auc"] <= 0.5:
        reasons.append(f"its AUC of {figures['auc']:.3f} is no better than chance")
    return Judgement(tuple(reasons), shortage, figures, intervals)


def _least(removed: Bools, limits: GateLimits) -> Shortage | None:
    """Return the shortage if there are too few comments, or too few of a class, to measure anything."""
    comments, least_of_class = len(removed), math.ceil(limits.least_comments / 10)
    fewer = min(int(removed.sum()), comments - int(removed.sum()))
    if comments >= limits.least_comments and fewer >= least_of_class:
        return None
    needed = max(limits.least_comments, math.ceil(comments * max(1.0, least_of_class / max(fewer, 1))))
    cause = f"{int(removed.sum()):,} are removed, and {least_of_class:,} removed and as many kept ones are needed"
    return Shortage(comments, needed, cause)


def _auc_shortage(difference: Interval, comments: int, margin: float) -> Shortage | None:
    """Return the shortage if the interval is too wide to decide; its width falls with the root of the comments."""
    half_width = (difference.high - difference.low) / 2
    if not 0 < margin < half_width or difference.high < -margin:
        return None
    needed = math.ceil(comments * (half_width / margin) ** 2)
    cause = (
        f"the AUC differs from production's by {difference.value:+.3f} ± {half_width:.3f}, "
        f"and ± {margin} is needed to know that it is not lower"
    )
    return Shortage(comments, needed, cause)


def _compare(
    challenger: ModelScores,
    production: ModelScores,
    newest: EvaluationSet,
    workload: Workload | None,
    limits: GateLimits,
    rng: np.random.Generator,
    reasons: list[str],
    figures: dict[str, float],
    intervals: dict[str, Interval],
) -> Shortage | None:
    figures["production_auc"] = weighted_auc(production.probability, newest.removed, newest.weight)
    difference = auc_difference(challenger.probability, production.probability, newest, limits, rng)
    intervals["auc"] = difference
    shortage = None
    if difference.low < -limits.auc_margin:
        shortage = _auc_shortage(difference, len(newest.removed), limits.auc_margin)
    if difference.low < -limits.auc_margin and shortage is None:
        reasons.append(
            f"its AUC may be {-difference.low:.3f} lower than production's ({difference.value:+.3f}, "
            f"{difference.low:+.3f} to {difference.high:+.3f}); {limits.auc_margin} is allowed"
        )
    work = workload or Workload(challenger.verdicts, production.verdicts, newest.weight, newest.days)
    for verdict, what in _WORK:
        ours, theirs = (np.array([each is verdict for each in side]) for side in (work.challenger, work.production))
        figures[f"{what}_a_day"] = _a_day(work.challenger, verdict, work.weight, work.days)
        figures[f"production_{what}_a_day"] = _a_day(work.production, verdict, work.weight, work.days)
        change = _workload_change(ours, theirs, work.weight, limits, rng)
        intervals[what] = change
        if change.low > limits.workload_factor or change.high < 1 / limits.workload_factor:
            reasons.append(
                f"{what} a day change from {figures[f'production_{what}_a_day']:,.0f} to "
                f"{figures[f'{what}_a_day']:,.0f}, by {change.low:.2f} to {change.high:.2f} times; "
                f"{1 / limits.workload_factor:.2f} to {limits.workload_factor} is allowed"
            )
    for community in np.unique(newest.community).tolist():
        members = newest.community == community
        removed = int(newest.removed[members].sum())
        if members.sum() < limits.least_of_community or not 0 < removed < members.sum():
            continue
        part = EvaluationSet(newest.removed[members], newest.weight[members], newest.community[members], newest.days)
        worse = auc_difference(challenger.probability[members], production.probability[members], part, limits, rng)
        intervals[f"auc in {community}"] = worse
        if worse.high < -limits.community_margin:
            reasons.append(
                f"in {community} its AUC is lower by {-worse.value:.3f} ({worse.low:+.3f} to {worse.high:+.3f}); "
                f"{limits.community_margin} is allowed"
            )
    return shortage


def _a_day(verdicts: Sequence[Verdict], verdict: Verdict, weight: Floats, days: float) -> float:
    """Return how many comments a day get a verdict."""
    return float((np.array([each is verdict for each in verdicts]) * weight).sum() / days)


def weighted_auc(score: Floats, removed: Bools, weight: Floats) -> float:
    """Area under the ROC curve of weighted comments; ties count half. NaN if there is only one class.

    Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 2006.
    """
    ranks, groups = np.unique(score, return_inverse=True)
    return _auc_of(groups, len(ranks), removed, weight)


def auc_difference(
    challenger: Floats, production: Floats, newest: EvaluationSet, limits: GateLimits, rng: np.random.Generator
) -> Interval:
    """Difference of the AUC, challenger minus production, with the percentile interval of a paired bootstrap.

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
    # Half a comment on each side keeps the ratio finite if a model flags no comment.
    half = 0.5 * float(weight.mean())

    def change(weights: Floats) -> float:
        return float(((ours * weights).sum() + half) / ((theirs * weights).sum() + half))

    count = len(weight)
    drawn = [change(weight * rng.multinomial(count, np.full(count, 1 / count))) for _ in range(limits.resamples)]
    return _interval(change(weight), drawn, limits)


def _chance_error(probability: Floats, weight: Floats, limits: GateLimits, rng: np.random.Generator) -> float:
    """The mean calibration error of a calibrated model: removals are drawn with these probabilities."""
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
