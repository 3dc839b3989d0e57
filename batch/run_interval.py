"""Which stretch of time a run is about: what a person asked for, else its partition key, else its data interval.

A run that an asset, an event or the API started may have no date at all, so no task may rely on one. The scheduler's
own dates come last: a person who names a day means that day, whenever the run was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from moderation.errors import ConfigurationError

# The longest form first: a day is the beginning of an hour's name.
_KEYS = (("%Y-%m-%dT%H", timedelta(hours=1)), ("%Y-%m-%d", timedelta(days=1)))


@dataclass(frozen=True, slots=True)
class Interval:
    """A half-open stretch of time, ``start_us <= t < end_us``, in microseconds since the epoch, UTC."""

    start_us: int
    end_us: int


def resolve_interval(
    params: Mapping[str, object],
    partition_key: str | None = None,
    data_interval: tuple[datetime, datetime] | None = None,
) -> Interval:
    """Find the window of a run.

    Args:
        params: of the run. ``day`` (``2026-11-23``), or ``start`` and ``end`` (ISO 8601; UTC where no offset is
            given) name a window; empty values and other parameters are passed over.
        partition_key: a day (``2026-11-23``) or an hour (``2026-11-23T07``), UTC; None if the run has none.
        data_interval: start and end with their offsets; None if the run has none. One without length, as a plain cron
            schedule gives, is no window.

    Returns:
        The window of the first of the three that names one.

    Raises:
        ConfigurationError: what names one is malformed, contradicts itself or ends before it begins; or nothing does.
    """
    given = {name: str(params[name]) for name in ("day", "start", "end") if params.get(name)}
    if given:
        return _asked_for(given)
    if partition_key:
        return _named(partition_key, "partition key")
    if data_interval is not None and data_interval[0] != data_interval[1]:
        return _between(*data_interval, "data interval")
    raise ConfigurationError(
        "window of the run", "it has no parameter, partition key or data interval", "Trigger it with the parameter day."
    )


def _asked_for(given: Mapping[str, str]) -> Interval:
    if given.keys() == {"day"}:
        return _named(given["day"], "parameter day")
    if given.keys() == {"start", "end"}:
        return _between(_moment("start", given["start"]), _moment("end", given["end"]), "parameters start and end")
    raise ConfigurationError(
        f"parameters {', '.join(sorted(given))}", "they do not name one window", "Give either day, or start and end."
    )


def _named(key: str, what: str) -> Interval:
    for form, length in _KEYS:
        try:
            start = datetime.strptime(key, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return _between(start, start + length, what)
    raise ConfigurationError(f"{what} {key!r}", "it names neither a day nor an hour", "Write 2026-11-23.")


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"parameter {name}", str(error), "Write 2026-11-23T07:00:00+00:00.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _between(start: datetime, end: datetime, what: str) -> Interval:
    if start >= end:
        raise ConfigurationError(what, f"it ends ({end.isoformat()}) before it begins ({start.isoformat()})")
    return Interval(_microseconds(start), _microseconds(end))


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
