"""Times as integer microseconds since the epoch (UTC), and their days."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
CLOCK_MARGIN_US = MINUTE_US
"""The clock of a machine may be ahead of a broker's by this much."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = date(1970, 1, 1)


def now_us() -> int:
    """The current time of the system clock."""
    return time.time_ns() // 1_000


def moment_of(time_us: int) -> datetime:
    """A time as a datetime with zone UTC.

    Raises:
        OverflowError: the year is before 1 or after 9999.
    """
    return EPOCH + timedelta(microseconds=time_us)


def time_us_of(moment: datetime) -> int:
    """A datetime, which must have a zone, as microseconds since the epoch."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def day_of(time_us: int) -> date:
    """The UTC day of a time."""
    return _day(time_us // DAY_US)


def day_start_us(day: date) -> int:
    """The first microsecond of a UTC day."""
    return (day - _FIRST_DAY).days * DAY_US


def day_bounds_us(day: date) -> tuple[int, int]:
    """A UTC day as a half-open range of times."""
    start_us = day_start_us(day)
    return start_us, start_us + DAY_US


@lru_cache(maxsize=64)
def _day(number: int) -> date:
    return _FIRST_DAY + timedelta(days=number)
