"""The drift check as the tasks of its DAG call it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from batch.drift.run import check_drift
from batch.run_interval import resolve_interval
from moderation.errors import ConfigurationError
from moderation.settings import load_settings
from moderation.timestamps import day_of

_DAY = timedelta(days=1)


def watch(params: Mapping[str, Any], run_after: datetime) -> dict[str, Any]:
    """Check the day of a run; see :func:`batch.drift.run.check_drift`."""
    return check_drift(
        load_settings(),
        day_of_run(params, run_after),
        cool_down_days=params["cool_down_days"],
        maturity_hours=params["maturity_hours"],
        may_ask=True,
        on_progress=print,
    ).fields()


def day_of_run(params: Mapping[str, Any], run_after: datetime) -> date:
    """Return the day that a run checks.

    Args:
        params: of the run; ``day`` selects a day.
        run_after: scheduled start of the run, with its UTC offset; the default is the day before.

    Raises:
        ConfigurationError: the parameter is not a date.
    """
    key = (run_after.astimezone(UTC) - _DAY).date().isoformat()
    interval = resolve_interval({"day": params.get("day")}, key)
    if interval.end_us - interval.start_us != _DAY // timedelta(microseconds=1):
        raise ConfigurationError(
            f"{params.get('day') or key}", "it is not a date", "Write YYYY-MM-DD, for example 2026-11-23."
        )
    return day_of(interval.start_us)
