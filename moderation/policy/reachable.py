"""Resolve goals to the nearest policy that the comments can reach, and name each goal that had to be lowered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from moderation.errors import GoalUnmet
from moderation.policy.goals import Goal, Measure, parse_goal
from moderation.policy.policy import Policy
from moderation.policy.resolve import Bools, Floats, Ints, resolve_policy

_REVIEWS = (Measure.REVIEW_SHARE, Measure.REVIEWS_PER_DAY)
_EFFECTS = {Measure.PRECISION: "; nothing is removed automatically", **dict.fromkeys(_REVIEWS, "; nothing is reviewed")}
_STEPS = 1_000  # a lowered bound has three decimals


@dataclass(frozen=True, slots=True)
class Lowering:
    """A goal that the comments cannot meet.

    Attributes:
        stated: the goal as stated, e.g. ``precision>=0.9``.
        reached: the goal that the policy meets instead; None if it has none of this measure.
        cause: why the stated goal cannot be met.
    """

    stated: str
    reached: str | None
    cause: str

    def __str__(self) -> str:
        if self.reached is not None:
            return f"goal {self.stated} was lowered to {self.reached}: {self.cause}"
        effect = _EFFECTS.get(parse_goal(self.stated).measure, "")
        return f"goal {self.stated} was dropped: {self.cause}{effect}"

    @property
    def by(self) -> float:
        """How much the bound was lowered, in the unit of the goal; 0 if the goal was dropped."""
        return 0.0 if self.reached is None else parse_goal(self.stated).bound - parse_goal(self.reached).bound


def resolve_reachable(
    scores_ppm: Ints,
    removed: Bools,
    goals: Sequence[Goal],
    comments_per_day: float | None = None,
    weight: Floats | None = None,
) -> tuple[Policy, tuple[Lowering, ...]]:
    """Find the thresholds that meet the goals, or the nearest goals that can be met.

    A precision or a recall that no threshold reaches becomes the best reachable one, rounded down to three decimals.
    A precision that too few comments determine is dropped, so that nothing is removed automatically. A goal on reviews
    is dropped if more comments than it permits have the highest score, so that nothing is reviewed.

    Args:
        scores_ppm: out-of-fold scores in parts per million, shape (comments,).
        removed: True if a moderator removed the comment, shape (comments,).
        goals: at most one of each measure.
        comments_per_day: volume, needed for ``reviews_per_day``.
        weight: number of comments that each one represents, shape (comments,); 1 each if None.

    Returns:
        The policy, whose goals are those that it meets, and the goals that were lowered or dropped.

    Raises:
        ConfigurationError: a measure is stated twice, or ``reviews_per_day`` without a volume.
    """
    reachable = list(goals)
    lowered: dict[Measure, Lowering] = {}
    while True:
        try:
            policy = resolve_policy(scores_ppm, removed, reachable, comments_per_day, weight)
        except GoalUnmet as error:
            at = [str(goal) for goal in reachable].index(error.goal)
            goal = reachable.pop(at)
            nearest = None if goal.measure in _REVIEWS else _nearest(goal, error.best)
            if nearest is not None:
                reachable.insert(at, nearest)
            stated = next(str(each) for each in goals if each.measure is goal.measure)
            lowered[goal.measure] = Lowering(stated, None if nearest is None else str(nearest), error.cause)
        else:
            return policy, tuple(lowered.values())


def _nearest(goal: Goal, best: float) -> Goal | None:
    """Return the highest goal with three decimals below a goal that ``best`` meets; None if there is none."""
    steps = min(math.floor(best * _STEPS), math.ceil(goal.bound * _STEPS) - 1)
    if steps / _STEPS > best:
        steps -= 1
    return Goal(goal.measure, steps / _STEPS) if steps > 0 else None
