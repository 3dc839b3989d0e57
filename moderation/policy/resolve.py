"""Resolve goals to thresholds, on out-of-fold scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moderation.errors import ConfigurationError, GoalUnmet
from moderation.policy.goals import Goal, Measure
from moderation.policy.policy import NEVER_PPM, Estimate, OperatingPoint, Policy

# Fewer removals do not determine a precision: with 30 of 30 right, the 95 % interval still begins at 0.89.
LEAST_REMOVALS = 30
_Z = 1.959963984540054  # standard normal quantile of 0.975

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def resolve_policy(
    scores_ppm: Ints,
    removed: Bools,
    goals: Sequence[Goal],
    comments_per_day: float | None = None,
    weight: Floats | None = None,
) -> Policy:
    """Find the two thresholds that meet the goals.

    The remove threshold is the lowest whose removals meet the precision goal; without one nothing is removed
    automatically. The review threshold is the highest that meets the recall goal, else the lowest that keeps the review
    goals; without any of them nothing is reviewed. The smallest score is always allowed.

    Args:
        scores_ppm: out-of-fold scores in parts per million, shape (comments,).
        removed: True if a moderator removed the comment, shape (comments,).
        goals: at most one of each measure.
        comments_per_day: volume, needed for ``reviews_per_day``.
        weight: number of comments that each one represents, shape (comments,); 1 each if None.

    Raises:
        GoalUnmet: no threshold meets a goal; contains the best reachable value.
        ConfigurationError: a measure is stated twice, or ``reviews_per_day`` without a volume.
    """
    stated = {goal.measure: goal for goal in goals}
    if len(stated) < len(goals):
        raise ConfigurationError(", ".join(map(str, goals)), "a measure is stated twice", "Keep one goal of each.")
    if Measure.REVIEWS_PER_DAY in stated and not comments_per_day:
        raise ConfigurationError(
            str(stated[Measure.REVIEWS_PER_DAY]),
            "the volume is unknown",
            "State the comments per day (--comments-per-day).",
        )
    curve = _Curve(scores_ppm, removed, weight)
    remove_ppm = _remove_threshold(curve, stated.get(Measure.PRECISION))
    review_ppm = _review_threshold(curve, remove_ppm, stated, comments_per_day)
    if review_ppm == NEVER_PPM:
        _require_reviews(curve, stated, comments_per_day)
    return Policy(
        review_ppm=review_ppm,
        remove_ppm=remove_ppm,
        goals=tuple(str(goal) for goal in goals),
        expected=operating_point(scores_ppm, removed, review_ppm, remove_ppm, comments_per_day, weight),
    )


def operating_point(
    scores_ppm: Ints,
    removed: Bools,
    review_ppm: int,
    remove_ppm: int,
    comments_per_day: float | None,
    weight: Floats | None = None,
) -> OperatingPoint:
    """Measure two thresholds on labelled scores; each share has a Wilson interval."""
    taken = scores_ppm >= remove_ppm
    caught = scores_ppm >= review_ppm
    everything = np.ones(len(scores_ppm), bool)
    reviews = _share(caught & ~taken, everything, weight)
    daily = None
    if comments_per_day:
        daily = Estimate(*(comments_per_day * share for share in (reviews.value, reviews.low, reviews.high)))
    return OperatingPoint(
        precision=_share(removed, taken, weight) if taken.any() else None,
        recall=_share(caught, removed, weight),
        remove_share=_share(taken, everything, weight),
        review_share=reviews,
        reviews_per_day=daily,
        comments=len(scores_ppm),
    )


def _share(part: Bools, whole: Bools, weight: Floats | None) -> Estimate:
    """The share of ``whole`` that is in ``part``; weighted comments have an effective sample size (Kish, 1965)."""
    if weight is None:
        return wilson(int((part & whole).sum()), int(whole.sum()))
    weights = weight[whole]
    total = float(weights.sum())
    effective = total * total / float((weights * weights).sum()) if total else 0.0
    return wilson(effective * float(weight[part & whole].sum()) / total if total else 0.0, effective)


def wilson(successes: float, trials: float) -> Estimate:
    """A share with its 95 % score interval (Wilson, JASA 22, 1927); no trials give 0 with the interval [0, 1]."""
    if trials == 0:
        return Estimate(0.0, 0.0, 1.0)
    share = successes / trials
    spread = _Z * _Z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half))


class _Curve:
    """Weights at or above every distinct score, from the highest score down."""

    def __init__(self, scores_ppm: Ints, removed: Bools, weight: Floats | None) -> None:
        order = np.argsort(-scores_ppm, kind="stable")
        scores = scores_ppm[order]
        last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
        weights = np.ones(len(scores)) if weight is None else weight[order]
        self.threshold: Ints = scores[last]
        self.comments_above: Ints = last + 1
        self.above: Floats = np.cumsum(weights)[last]
        self.removed_above: Floats = np.cumsum(weights * removed[order])[last]
        self.comments = len(scores)
        self.total = float(self.above[-1])
        self.removed = float(self.removed_above[-1])
        # A threshold at the smallest score (or at 0) would allow no comment.
        self.leaves_some = (self.threshold > self.threshold[-1]) & (self.threshold > 0)


def _remove_threshold(curve: _Curve, goal: Goal | None) -> int:
    if goal is None:
        return NEVER_PPM
    precision = curve.removed_above / curve.above
    enough = curve.leaves_some & (curve.comments_above >= LEAST_REMOVALS)
    if not enough.any():
        raise GoalUnmet(
            str(goal),
            0.0,
            f"{curve.comments} comments are too few to judge it",
            f"Give more than {LEAST_REMOVALS} comments.",
        )
    met = np.flatnonzero(enough & (precision >= goal.bound))
    if not len(met):
        best = float(precision[enough].max())
        raise GoalUnmet(
            str(goal),
            best,
            f"the best precision of {LEAST_REMOVALS} or more removals is {best:.3f}",
            "Lower the goal, or drop it and review instead.",
        )
    return int(curve.threshold[met[-1]])


def _review_threshold(
    curve: _Curve, remove_ppm: int, stated: dict[Measure, Goal], comments_per_day: float | None
) -> int:
    removals = float(curve.above[curve.threshold >= remove_ppm].max(initial=0))
    most = _most_reviews(curve, stated, comments_per_day)
    recall = curve.removed_above / (curve.removed or 1)
    within: NDArray[np.bool_] = curve.leaves_some & (curve.threshold <= remove_ppm) & (curve.above - removals <= most)
    goal = stated.get(Measure.RECALL)
    if goal is not None:
        met = np.flatnonzero(within & (recall >= goal.bound))
        if len(met):
            return int(curve.threshold[met[0]])
        best = float(recall[within].max(initial=0.0))
        raise GoalUnmet(
            str(goal),
            best,
            f"the best recall within the other goals is {best:.3f}",
            "Lower it, or allow more reviews.",
        )
    is_capped = Measure.REVIEW_SHARE in stated or Measure.REVIEWS_PER_DAY in stated
    candidates = np.flatnonzero(within)
    return int(curve.threshold[candidates[-1]]) if is_capped and len(candidates) else remove_ppm


def _require_reviews(curve: _Curve, stated: dict[Measure, Goal], comments_per_day: float | None) -> None:
    """Refuse goals on reviews that only a policy meets which allows every comment."""
    capped = [stated[each] for each in (Measure.REVIEW_SHARE, Measure.REVIEWS_PER_DAY) if each in stated]
    if not capped:
        return
    if not curve.leaves_some.any():
        raise GoalUnmet(
            str(capped[0]),
            0.0,
            "all comments have the same score, so that every comment would be reviewed or none",
            "Give comments from which a model can learn, with both labels.",
        )
    share = float(curve.above[curve.leaves_some][0]) / curve.total
    goal = next(
        (each for each in capped if each.bound < _in_unit(share, each, comments_per_day)),
        capped[0],
    )
    best = _in_unit(share, goal, comments_per_day)
    raise GoalUnmet(
        str(goal),
        best,
        f"the comments with the highest score alone are {best:.3g}, because their scores are equal or the comments few",
        f"Raise it, e.g. to {goal.measure}<={_rounded_up(best)}.",
    )


def _in_unit(share: float, goal: Goal, comments_per_day: float | None) -> float:
    """Return a share of the comments in the unit of a goal on reviews."""
    return share if goal.measure is Measure.REVIEW_SHARE else share * (comments_per_day or 0.0)


def _rounded_up(value: float) -> str:
    """Return a number with two significant digits that is not below the value."""
    digits = 1 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{math.ceil(value * 10**digits) / 10**digits:g}"


def _most_reviews(curve: _Curve, stated: dict[Measure, Goal], comments_per_day: float | None) -> float:
    most = math.inf
    if (share := stated.get(Measure.REVIEW_SHARE)) is not None:
        most = min(most, share.bound * curve.total)
    if (daily := stated.get(Measure.REVIEWS_PER_DAY)) is not None and comments_per_day:
        most = min(most, daily.bound / comments_per_day * curve.total)
    return most
