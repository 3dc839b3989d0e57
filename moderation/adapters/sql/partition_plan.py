"""Plan the day partitions of ``speed.decisions``: which to create, and which rows to move out of DEFAULT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

DAYS_AHEAD = 30
"""Days after today that have a partition once the job has run."""
PAST_DAYS = 90
"""Older days get no partition: their rows stay in DEFAULT. Bounds the number of partitions that rows can cause."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DayRange:
    """A partition's range of append days, half-open."""

    first: date
    end: date


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """The work of one run; all days are append days (UTC), in order.

    Attributes:
        move: days without a partition that have rows in DEFAULT, or may get rows during the run.
        ahead: later days without a partition and without rows.
        far: days outside the limits that have rows in DEFAULT, with the number of rows. The rows stay there.
    """

    move: tuple[date, ...]
    ahead: tuple[date, ...]
    far: Mapping[date, int]


def plan_partitions(
    today: date, days: int, partitions: Sequence[DayRange], in_default: Mapping[date, int]
) -> PartitionPlan:
    """Plan one run.

    Args:
        today: UTC.
        days: number of days after today that need a partition.
        partitions: the ranges of all partitions but DEFAULT.
        in_default: the number of rows of each day in DEFAULT.
    """
    last = today + days * _DAY
    near = {day for day in in_default if today - PAST_DAYS * _DAY <= day <= last}
    # Clocks differ: rows of tomorrow may arrive while its partition is created.
    wanted = {today + number * _DAY for number in range(days + 1)}
    at_once = {day for day in wanted if day <= today + _DAY}
    missing = {day for day in wanted | near if not _covered(day, partitions)}
    move = missing & (near | at_once)
    return PartitionPlan(
        move=tuple(sorted(move)),
        ahead=tuple(sorted(missing - move)),
        far={day: rows for day, rows in sorted(in_default.items()) if day not in near},
    )


def days_ahead(today: date, partitions: Sequence[DayRange]) -> int:
    """Count the days after today that have a partition, up to the first that has none; -1 if today has none."""
    day = today
    while _covered(day, partitions):
        day += _DAY
    return (day - today).days - 1


def _covered(day: date, partitions: Sequence[DayRange]) -> bool:
    return any(each.first <= day < each.end for each in partitions)
