"""Removal rates of groups of comments: communities, and periods of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from moderation.policy.policy import Estimate
from moderation.policy.resolve import wilson
from moderation.timestamps import DAY_US, moment_of

MOST_COMMUNITIES = 20
MOST_PERIODS = 40


@dataclass(frozen=True, slots=True)
class Rate:
    """The removal rate of a group of comments.

    Attributes:
        group: name of the group.
        comments: number of comments.
        removed: number of removed comments.
    """

    group: str
    comments: int
    removed: int

    @property
    def share(self) -> Estimate:
        """Share of removed comments, with its 95 % interval."""
        return wilson(self.removed, self.comments)


@dataclass(frozen=True, slots=True)
class Periods:
    """Removal rates over time.

    Attributes:
        unit: length of a period: ``day``, ``week``, ``month`` or ``year``.
        rates: one per period from the first comment to the last, in order; also of periods without comments.
    """

    unit: str
    rates: tuple[Rate, ...]


def rates_by_community(communities: Sequence[str], removed: Sequence[bool]) -> tuple[Rate, ...]:
    """Return the removal rates of the 20 largest communities, and of all others together.

    Args:
        communities: community of each comment.
        removed: the label of each comment.
    """
    comments = Counter(communities)
    gone = Counter(name for name, is_removed in zip(communities, removed, strict=True) if is_removed)
    largest = sorted(comments, key=lambda name: (-comments[name], name))
    shown, others = largest[:MOST_COMMUNITIES], largest[MOST_COMMUNITIES:]
    rates = [Rate(name, comments[name], gone[name]) for name in shown]
    if others:
        name = f"{len(others):,} other communities"
        rates.append(Rate(name, sum(map(comments.__getitem__, others)), sum(map(gone.__getitem__, others))))
    return tuple(rates)


def rates_by_period(times_us: Sequence[int], removed: Sequence[bool]) -> Periods:
    """Return removal rates over time, in the shortest periods of which there are at most 40.

    Args:
        times_us: event times, in microseconds.
        removed: the label of each comment.
    """
    if not times_us:
        return Periods("day", ())
    for unit, name_of in _UNITS.items():
        names = _names_between(min(times_us), max(times_us), name_of)
        if len(names) <= MOST_PERIODS or unit == "year":
            break
    of_each = [name_of(time_us) for time_us in times_us]
    comments = Counter(of_each)
    gone = Counter(name for name, is_removed in zip(of_each, removed, strict=True) if is_removed)
    return Periods(unit, tuple(Rate(name, comments[name], gone[name]) for name in names))


def month_of(time_us: int) -> str:
    """Return the month of a time, e.g. ``2023-05``."""
    return moment_of(time_us).strftime("%Y-%m")


def _day_of(time_us: int) -> str:
    return moment_of(time_us).strftime("%Y-%m-%d")


def _week_of(time_us: int) -> str:
    """Return the Monday of the week of a time."""
    moment = moment_of(time_us)
    return (moment - timedelta(days=moment.weekday())).strftime("%Y-%m-%d")


def _year_of(time_us: int) -> str:
    return moment_of(time_us).strftime("%Y")


_UNITS: dict[str, Callable[[int], str]] = {"day": _day_of, "week": _week_of, "month": month_of, "year": _year_of}


def _names_between(first_us: int, last_us: int, name_of: Callable[[int], str]) -> list[str]:
    """Return the names of all periods from the first time to the last, in order; day by day, so none is missed."""
    days = range(first_us // DAY_US, last_us // DAY_US + 1)
    return list(dict.fromkeys(name_of(day * DAY_US) for day in days))
