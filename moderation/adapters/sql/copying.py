"""Rows for PostgreSQL's COPY in text format, put together without a driver's per-value work."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

_EPOCH = date(1970, 1, 1)
_DAY_US = 86_400 * 1_000_000
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
NULL = "\\N"


def text(value: str) -> str:
    """A text value, escaped."""
    return value.translate(_ESCAPES)


def binary(value: bytes) -> str:
    """A bytea value in hexadecimal."""
    return "\\\\x" + value.hex()


def day_of(time_us: int) -> date:
    """The UTC day of a time in microseconds since the epoch."""
    return _day(time_us // _DAY_US)


@lru_cache(maxsize=64)
def _day(number: int) -> date:
    return _EPOCH + timedelta(days=number)
