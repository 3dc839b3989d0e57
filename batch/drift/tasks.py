"""The steps of the watch as Airflow's tasks call them."""

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
    """Watch the day of a run; see :func:`batch.drift.run.check_drift`."""
    return check_drift(
        load_settings(),
        day_of_run(params, run_after),
        cool_down_days=params["cool_down_days"],
        maturity_hours=params["maturity_hours"],
        may_ask=True,
        on_progress=print,
    ).fields()


def day_of_run(params: Mapping[str, Any], run_after: datetime) -> date:
    """The day a run is about.

    Args:
        params: of the run; ``day`` asks for that one.
        run_after: when the run was to begin, with its offset: it is about the day before.

    Raises:
        ConfigurationError: the parameter names no day.
    """
    key = (run_after.astimezone(UTC) - _DAY).date().isoformat()
    window = resolve_interval({"day": params.get("day")}, key)
    if window.end_us - window.start_us != _DAY // timedelta(microseconds=1):
        raise ConfigurationError(f"{params.get('day') or key}", "it is no day", "Write 2026-11-23.")
    return day_of(window.start_us)
