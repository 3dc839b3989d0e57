"""Resolve the time interval of a run: from its parameters, else its partition key, else its data interval.

A run that an asset, an event or the API started may have no date, so no task may depend on one. The scheduler's dates
have the lowest priority: an operator who names a day means that day, whenever the run was created.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from moderation.errors import ConfigurationError

# The longest format comes first, because an hour's name begins with a day.
_KEYS = (("%Y-%m-%dT%H", timedelta(hours=1)), ("%Y-%m-%d", timedelta(days=1)))


@dataclass(frozen=True, slots=True)
class Interval:
    """A half-open time interval, ``start_us <= t < end_us``, in microseconds since the epoch, UTC."""

    start_us: int
    end_us: int


def resolve_interval(
    params: Mapping[str, object],
    partition_key: str | None = None,
    data_interval: tuple[datetime, datetime] | None = None,
) -> Interval:
    """Find the interval of a run.

    Args:
        params: of the run. ``day`` (``2026-11-23``), or ``start`` and ``end`` (ISO 8601; UTC where no offset is
            given) name an interval; empty values and other parameters are ignored.
        partition_key: a day (``2026-11-23``) or an hour (``2026-11-23T07``), UTC; None if the run has none.
        data_interval: start and end with their UTC offsets; None if the run has none. One of length zero, as a plain
            cron schedule gives, is ignored.

    Returns:
        The interval from the first of the three that names one.

    Raises:
        ConfigurationError: the source is malformed, contradicts itself or ends before it begins; or none names one.
    """
    given = {name: str(params[name]) for name in ("day", "start", "end") if params.get(name)}
    if given:
        return _from_params(given)
    if partition_key:
        return _from_key(partition_key, "partition key")
    if data_interval is not None and data_interval[0] != data_interval[1]:
        return _between(*data_interval, "data interval")
    raise ConfigurationError(
        "interval of the run",
        "it has no parameter, partition key or data interval",
        "Trigger it with the parameter day.",
    )


def _from_params(given: Mapping[str, str]) -> Interval:
    if given.keys() == {"day"}:
        return _from_key(given["day"], "parameter day")
    if given.keys() == {"start", "end"}:
        return _between(
            _parse_time("start", given["start"]), _parse_time("end", given["end"]), "parameters start and end"
        )
    raise ConfigurationError(
        f"parameters {', '.join(sorted(given))}", "they do not name one interval", "Give either day, or start and end."
    )


def _from_key(key: str, what: str) -> Interval:
    for time_format, length in _KEYS:
        try:
            start = datetime.strptime(key, time_format).replace(tzinfo=UTC)
        except ValueError:
            continue
        return _between(start, start + length, what)
    raise ConfigurationError(f"{what} {key!r}", "it names neither a day nor an hour", "Write 2026-11-23.")


def _parse_time(name: str, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"parameter {name}", str(error), "Write 2026-11-23T07:00:00+00:00.") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _between(start: datetime, end: datetime, what: str) -> Interval:
    if start >= end:
        raise ConfigurationError(what, f"it ends ({end.isoformat()}) before it begins ({start.isoformat()})")
    return Interval(_microseconds(start), _microseconds(end))


def _microseconds(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
