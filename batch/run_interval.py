"""Resolve the dates of a run: from its parameters, else its partition key, else its logical date, else its schedule.

A run that an asset, an event or the API started may have no date, so no task may depend on one. The scheduler's dates
have the lowest priority: an operator who names a day means that day, whenever the run was created. A date that cannot
be used is refused, never replaced by another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from moderation.errors import ConfigurationError

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_TRIGGERED = {"manual", "operator_triggered"}
_FORM_AGE = _HOUR
"""Airflow's form sets the logical date to the time at which it was opened."""
# The longest format comes first, because an hour's name begins with a day.
_KEYS = (("%Y-%m-%dT%H", _HOUR), ("%Y-%m-%d", _DAY))


@dataclass(frozen=True, slots=True)
class Interval:
    """A half-open time interval, ``start_us <= t < end_us``, in microseconds since the epoch, UTC."""

    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class RunDates:
    """Dates of an Airflow run.

    Attributes:
        run_type: Airflow's name, e.g. ``scheduled``, ``manual``, ``backfill`` or ``asset_triggered``.
        run_after: earliest start: of a scheduled run the time of its schedule, of a triggered one its creation.
        logical_date: None if the run has none.
        partition_key: None if the run has none.
    """

    run_type: str
    run_after: datetime
    logical_date: datetime | None = None
    partition_key: str | None = None

    @classmethod
    def of(cls, dag_run: Any) -> RunDates:
        """Read the dates of a run; ``dag_run`` is the variable of Airflow's task context, or has its attributes."""
        run_type = str(getattr(dag_run.run_type, "value", dag_run.run_type))
        return cls(run_type, dag_run.run_after, dag_run.logical_date, dag_run.partition_key)

    @property
    def stated(self) -> datetime | None:
        """The logical date, if a person or a backfill stated it.

        The date of a scheduled run follows from its schedule. Airflow's form and Airflow's operators set the present
        time where nobody states a date, so a date within an hour before the run was created states nothing.

        Raises:
            ConfigurationError: the date is in the future.
        """
        if self.logical_date is None or self.run_type not in {"backfill", *_TRIGGERED}:
            return None
        if self.logical_date > self.run_after:
            raise ConfigurationError(
                f"logical date {self.logical_date.isoformat()}", "it is in the future", "Name a date in the past."
            )
        is_default = self.run_type in _TRIGGERED and self.run_after - self.logical_date <= _FORM_AGE
        return None if is_default else self.logical_date


def interval_of_run(params: Mapping[str, object], run: RunDates, *, default: bool = True) -> Interval:
    """Return the interval of a run, in most cases one day.

    Args:
        params: of the run; see :func:`resolve_interval`.
        run: its dates. A logical date stands for its UTC day.
        default: whether a run without a stated date does the day before its ``run_after``; if not, it is refused.

    Raises:
        ConfigurationError: the first of parameters, partition key and logical date that the run has is malformed,
            begins in the future, or is the logical date of a day that is not over; or nothing names an interval.
    """
    given = {name: params[name] for name in ("day", "start", "end") if params.get(name)}
    if given or run.partition_key:
        interval = resolve_interval(given, run.partition_key)
        if interval.start_us > _microseconds(run.run_after):
            named = " ".join(str(value) for value in given.values()) or run.partition_key
            raise ConfigurationError(f"interval {named}", "it begins in the future", "Name a day in the past.")
        return interval
    if (stated := run.stated) is not None:
        day = stated.astimezone(UTC).date().isoformat()
        interval = resolve_interval({"day": day})
        if interval.end_us > _microseconds(run.run_after):
            raise ConfigurationError(
                f"logical date {stated.isoformat()}",
                f"the day {day} (UTC) is not over",
                "Name an earlier date, or leave the date out for the last whole day.",
            )
        return interval
    return resolve_interval({}, (run.run_after.astimezone(UTC) - _DAY).date().isoformat() if default else None)


def ignored_date(run: RunDates) -> str | None:
    """Return what a DAG without a date logs about a stated date; None if the run has none."""
    if (stated := run.stated) is None:
        return None
    return f"the logical date {stated.isoformat()} is ignored: this DAG always works on the present state"


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
