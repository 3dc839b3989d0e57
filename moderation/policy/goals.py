"""Parse policy goals: ``precision>=0.9``, ``recall>=0.8``, ``reviews_per_day<=200``, ``review_share<=0.2``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from moderation.errors import ConfigurationError

_FORM = re.compile(r"\s*([a-z_]+)\s*(>=|<=|≥|≤)\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)\s*")


class Measure(StrEnum):
    """The measure of a goal.

    ``precision``: of the automatically removed comments, the share that a moderator would have removed.
    ``recall``: of the comments that a moderator would have removed, the share that is removed or reviewed.
    ``reviews_per_day``: comments per day that need review.
    ``review_share``: share of all comments that need review.
    """

    PRECISION = "precision"
    RECALL = "recall"
    REVIEWS_PER_DAY = "reviews_per_day"
    REVIEW_SHARE = "review_share"

    @property
    def is_floor(self) -> bool:
        """Whether the bound is a minimum (``>=``); else it is a maximum (``<=``)."""
        return self in (Measure.PRECISION, Measure.RECALL)


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal: a measure and its bound; shares are in (0, 1], reviews in comments per day."""

    measure: Measure
    bound: float

    def __str__(self) -> str:
        return f"{self.measure}{'>=' if self.measure.is_floor else '<='}{self.bound:g}"


def parse_goal(text: str) -> Goal:
    """Read a goal such as ``precision>=0.9``, ``recall >= 80%`` or ``reviews_per_day<=200``.

    Raises:
        ConfigurationError: the syntax, the measure, the direction, or a share outside (0, 1] is wrong.
    """
    thing = f"goal {text!r}"
    remedy = f"Write MEASURE>=NUMBER or MEASURE<=NUMBER; measures are {', '.join(Measure)}."
    match = _FORM.fullmatch(text)
    if match is None:
        raise ConfigurationError(thing, "not a goal", remedy)
    name, sign, number, percent = match.groups()
    if name not in list(Measure):
        raise ConfigurationError(thing, f"unknown measure {name!r}", remedy)
    measure = Measure(name)
    if measure.is_floor != (sign in (">=", "≥")):
        raise ConfigurationError(thing, f"{name} is bounded with {'>=' if measure.is_floor else '<='}", remedy)
    bound = float(number) / (100 if percent else 1)
    is_share = measure is not Measure.REVIEWS_PER_DAY
    if is_share and not 0 < bound <= 1:
        raise ConfigurationError(thing, "a share must be in (0, 1]", "Write 0.9 or 90%.")
    if not is_share and percent:
        raise ConfigurationError(
            thing, "reviews_per_day is a number of comments, not a share", "Drop the percent sign."
        )
    return Goal(measure, bound)
