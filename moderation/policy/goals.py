"""Goals, as people state them: ``precision>=0.9``, ``recall>=0.8``, ``reviews_per_day<=200``, ``review_share<=0.2``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from moderation.errors import ConfigurationError

_FORM = re.compile(r"\s*([a-z_]+)\s*(>=|<=|≥|≤)\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)\s*")


class Measure(StrEnum):
    """What a goal is about.

    ``precision``: of the comments removed without a person, the share a person would have removed.
    ``recall``: of the comments a person would have removed, the share that is removed or reviewed.
    ``reviews_per_day``: comments a day that wait for a person.
    ``review_share``: share of all comments that wait for a person.
    """

    PRECISION = "precision"
    RECALL = "recall"
    REVIEWS_PER_DAY = "reviews_per_day"
    REVIEW_SHARE = "review_share"

    @property
    def is_floor(self) -> bool:
        """True where more is better (``>=``), False where the goal is a ceiling (``<=``)."""
        return self in (Measure.PRECISION, Measure.RECALL)


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal: a measure and the bound it must keep; shares in (0, 1], reviews in comments a day."""

    measure: Measure
    bound: float

    def __str__(self) -> str:
        return f"{self.measure}{'>=' if self.measure.is_floor else '<='}{self.bound:g}"


def parse_goal(text: str) -> Goal:
    """Read a goal such as ``precision>=0.9``, ``recall >= 80%`` or ``reviews_per_day<=200``.

    Raises:
        ConfigurationError: another form, an unknown measure, the wrong direction, or a share outside (0, 1].
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
        raise ConfigurationError(thing, "a share must lie in (0, 1]", "Write 0.9 or 90%.")
    if not is_share and percent:
        raise ConfigurationError(
            thing, "reviews_per_day is a number of comments, not a share", "Drop the percent sign."
        )
    return Goal(measure, bound)
