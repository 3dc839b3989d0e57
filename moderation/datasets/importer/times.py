"""Read times: ISO 8601, numbers since the epoch, Excel's day numbers, dates with slashes, stated formats.

A number has only one plausible unit: from 2000 to 2099, the ranges of seconds, milliseconds, microseconds,
nanoseconds, Excel days and compact dates do not overlap.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Literal

from moderation.timestamps import DAY_US, EPOCH, time_us_of

Unit = Literal["s", "ms", "us", "ns", "excel"]
UNITS: dict[str, str] = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "excel": "Excel days",
}
"""Units of numbers that a column may be stated to have, and their names."""
ORDERS = ("dmy", "mdy")
"""Orders of day and month that a column of dates with slashes may be stated to have."""

_FIRST_US = time_us_of(datetime(2000, 1, 1, tzinfo=UTC))
_END_US = time_us_of(datetime(2100, 1, 1, tzinfo=UTC))
_EXCEL_EPOCH_DAYS = 25_569  # day number of 1970-01-01
_PER_UNIT_US = {"s": Decimal(1_000_000), "ms": Decimal(1_000), "us": Decimal(1), "ns": Decimal("0.001")}
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_LEAST_DIGITS = 8  # spreadsheets and R write 1.68294E+12 and 1.682935e+09
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"\d{4,},\d+")  # four digits before a comma are no group of thousands
_SLASHED = re.compile(
    r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})(?:[ ,T]+(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s*([AaPp])\.?[Mm]\.?)?)?"
)
_YEAR_FIRST = re.compile(r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?!\d)")
_TWITTER = "%a %b %d %H:%M:%S %z %Y"
_EMPTY = frozenset(("", "nan", "nat", "none", "null", "n/a", "na", "-", "0", "0.0", "\\n"))


class NoTime(ValueError):
    """A value that is not a time; the text says why."""


def time_us(value: object, rule: str | None = None) -> int:
    """Return a time in microseconds since the epoch.

    Args:
        value: a cell: text, a number, a datetime or a date. Times without a zone are UTC.
        rule: unit of numbers (one of ``UNITS``), order of dates with slashes (one of ``ORDERS``), a format of
            ``strptime``, or None: the unit is the only plausible one.

    Raises:
        NoTime: the value is empty, ambiguous or not between 2000 and 2099.
    """
    if rule in (None, "s") and isinstance(value, str) and len(value) == 10 and value.isdigit() and value.isascii():
        fast_us = int(value) * 1_000_000  # the usual form
        if _FIRST_US <= fast_us < _END_US:
            return fast_us
    if isinstance(value, datetime):
        return _within(time_us_of(value if value.tzinfo else value.replace(tzinfo=UTC)), value)
    if isinstance(value, date):
        return _within(time_us_of(datetime(value.year, value.month, value.day, tzinfo=UTC)), value)
    if isinstance(value, bool) or value is None:
        raise NoTime("the time is empty")
    text = str(value).strip()
    if text.casefold() in _EMPTY:
        raise NoTime("the time is empty")
    if rule is not None and "%" in rule:
        return _stated_format(text, rule)
    if _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if _NUMBER.fullmatch(text):
        return _number(text, rule if rule in UNITS else None)
    return _text(text, rule)


def checked_form(form: str) -> str:
    """Return a form of ``strptime``.

    Raises:
        ValueError: it is malformed.
    """
    try:
        datetime.strptime("\0", form)
    except ValueError as error:
        if "does not match" not in str(error):
            raise ValueError(f"the form of times cannot be used: {error}") from error
    return form


def is_order_ambiguous(values: list[str]) -> bool:
    """Whether dates with slashes occur and none of them shows which part is the day."""
    slashed = [found for value in values if (found := _SLASHED.match(value.strip()))]
    return bool(slashed) and not any(int(found[1]) > 12 or int(found[2]) > 12 for found in slashed)


def order_of(values: list[str]) -> str | None:
    """Return the order of day and month that the dates of a column show; None if they show none or both."""
    slashed = [found for value in values if (found := _SLASHED.match(value.strip()))]
    orders = {"dmy" for found in slashed if int(found[1]) > 12} | {"mdy" for found in slashed if int(found[2]) > 12}
    return orders.pop() if len(orders) == 1 else None


def _number(text: str, unit: str | None) -> int:
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise NoTime(f"{text[:40]!r} is not a time") from error
    if "e" in text.casefold() and len(number.as_tuple().digits) < _LEAST_DIGITS:
        raise NoTime(f"{text[:40]!r} has lost its last digits")
    if number.adjusted() > 25 or number.adjusted() < -25:
        raise NoTime(f"{text[:40]!r} is not a time between 2000 and 2099 in any unit")
    if unit is not None:
        found = _in_unit(number, unit)
        if not _FIRST_US <= found < _END_US:
            other = next((name for each, name in UNITS.items() if _FIRST_US <= _in_unit(number, each) < _END_US), None)
            hint = f"; it would be in {other}" if other else ""
            raise NoTime(f"{text[:40]!r} in {UNITS[unit]} is not between 2000 and 2099{hint}")
        return found
    for each in UNITS:
        if _FIRST_US <= (found := _in_unit(number, each)) < _END_US:
            return found
    if text.isdigit() and len(text) in _COMPACT:
        return _stated_format(text, _COMPACT[len(text)])
    if text.isdigit() and len(text) == 4:
        raise NoTime(f"{text!r} is a year, not a time")
    raise NoTime(f"{text[:40]!r} is not a time between 2000 and 2099 in any unit")


def _in_unit(number: Decimal, unit: str) -> int:
    if unit == "excel":
        return round((number - _EXCEL_EPOCH_DAYS) * DAY_US)
    return round(number * _PER_UNIT_US[unit])


def _text(text: str, order: str | None) -> int:
    if found := _SLASHED.fullmatch(text):
        return _slashed(text, found, order)
    plain = _YEAR_FIRST.sub(lambda found: f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}", text)
    for ending in (" UTC", " GMT", " Z"):
        if text.upper().endswith(ending):
            plain = plain[: -len(ending)] + "+00:00"
    for parse in (datetime.fromisoformat, parsedate_to_datetime, lambda value: datetime.strptime(value, _TWITTER)):
        try:
            moment = parse(plain)
        except (ValueError, TypeError, IndexError):
            continue
        return _within(time_us_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC)), text)
    raise NoTime(f"{text[:40]!r} is not a time")


def _slashed(text: str, found: re.Match[str], order: str | None) -> int:
    first, second, year = int(found[1]), int(found[2]), int(found[3])
    if order is None:
        if first <= 12 and second <= 12 and first != second:
            raise NoTime(f"{text[:40]!r} is ambiguous: day or month first")
        order = "dmy" if first > 12 else "mdy"
    day, month = (first, second) if order == "dmy" else (second, first)
    hour, minute, second_of = (int(found[index] or 0) for index in (4, 5, 6))
    if found[7]:
        hour = hour % 12 + (12 if found[7] in "Pp" else 0)
    try:
        return _within(time_us_of(datetime(year, month, day, hour, minute, second_of, tzinfo=UTC)), text)
    except ValueError as error:
        if isinstance(error, NoTime):
            raise
        raise NoTime(f"{text[:40]!r} is not a time ({order})") from error


def _stated_format(text: str, form: str) -> int:
    try:
        moment = datetime.strptime(text, form)
    except ValueError as error:
        raise NoTime(f"{text[:40]!r} does not have the form {form}") from error
    return _within(time_us_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC)), text)


def _within(found: int, value: object) -> int:
    if not _FIRST_US <= found < _END_US:
        raise NoTime(f"{str(value)[:40]!r} is not between 2000 and 2099")
    return found


def day_number_of(moment: datetime) -> float:
    """Return Excel's day number of a time; the inverse of unit ``excel``."""
    return (moment - EPOCH).total_seconds() / 86_400 + _EXCEL_EPOCH_DAYS
