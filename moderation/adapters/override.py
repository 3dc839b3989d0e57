"""Overrides: an operator lets a model version without certificate serve for at most seven days.

The value of tag ``moderation.override`` is ``REASON until 2026-12-01T18:00Z``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from moderation.errors import ModelRefused
from moderation.timestamps import DAY_US, moment_of, time_us_of

FORM = "REASON until 2026-12-01T18:00Z"
MOST_DAYS = 7
MOST_REASON_CHARACTERS = 1_000
FORBIDDEN = "MODERATION_OVERRIDES is forbidden"
_VALUE = re.compile(r"(?P<reason>\S(?:.*\S)?) until (?P<end>\d{4}-\d\d-\d\dT\d\d:\d\dZ)", re.ASCII | re.DOTALL)
_END = "%Y-%m-%dT%H:%MZ"
_REMEDY = f"Set it with `moderation override`, or to a value of the form `{FORM}`, at most {MOST_DAYS} days ahead."


@dataclass(frozen=True, slots=True)
class Override:
    """An override.

    Attributes:
        reason: of the operator.
        until_us: its end, in microseconds since the epoch; a whole minute.
    """

    reason: str
    until_us: int

    def __str__(self) -> str:
        return f"{self.reason} until {moment_of(self.until_us).strftime(_END)}"


def parse_override(value: str) -> Override:
    """Parse the value of the tag.

    Raises:
        ValueError: it has another form, or its reason has control characters.
    """
    matched = _VALUE.fullmatch(value.strip())
    if matched is None:
        raise ValueError(f"it is not of the form `{FORM}`")
    if not matched["reason"].isprintable():  # it is stored in PostgreSQL and logged
        raise ValueError("its reason has characters that cannot be printed")
    try:
        end = datetime.strptime(matched["end"], _END).replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"its end {matched['end']} is not a time") from error
    return Override(matched["reason"], time_us_of(end))


def override_in_effect(thing: str, value: str, now_us: int, *, is_allowed: bool) -> Override:
    """Return the override that lets a version serve now.

    Args:
        thing: name of the version.
        value: of its tag.
        now_us: time in microseconds.
        is_allowed: whether the settings allow overrides.

    Raises:
        ModelRefused: overrides are forbidden; the value has no end or one too far ahead; or the end has passed.
    """
    if not is_allowed:
        raise ModelRefused(
            thing,
            f"it has no certificate, and its override has no effect: {FORBIDDEN}",
            "Let the gate judge it, or move the alias to a certified version.",
        )
    try:
        override = parse_override(value)
    except ValueError as error:
        raise ModelRefused(thing, f"it has no certificate, and tag moderation.override: {error}", _REMEDY) from error
    if override.until_us > now_us + MOST_DAYS * DAY_US:
        cause = f"it has no certificate, and the end of its override is more than {MOST_DAYS} days ahead: {override}"
        raise ModelRefused(thing, cause, _REMEDY)
    if override.until_us <= now_us:
        raise ModelRefused(
            thing,
            f"it has no certificate, and its override has ended: {override}",
            "Let the gate judge it, move the alias to a certified version, or extend it with `moderation override`.",
        )
    return override
