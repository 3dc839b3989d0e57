"""The drift check as the tasks of its DAG call it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from batch.drift.run import check_drift
from batch.job_log import DRIFT, job_logged
from batch.nothing_done import NothingDone
from batch.progress import OnProgress
from batch.run_interval import RunDates, interval_of_run
from moderation.adapters.registry.registry import PRODUCTION
from moderation.bootstrap import registry
from moderation.errors import ConfigurationError, NotInRegistry
from moderation.settings import Settings, load_settings
from moderation.timestamps import day_of

_DAY = timedelta(days=1)


def watch(params: Mapping[str, Any], dag_run: Any, on_progress: OnProgress = print) -> dict[str, Any]:
    """Check the day of a run; see :func:`batch.drift.run.check_drift`.

    Returns:
        The report's fields; ``skipped`` is the reason if there was nothing to check.
    """
    settings, day = load_settings(), day_of_run(params, RunDates.of(dag_run))
    on_progress(f"checking {day}")
    with job_logged(settings, DRIFT, on_progress) as log:
        log.skipped = _without_production(settings)
        if log.skipped is not None:
            return NothingDone(log.skipped).fields()
        report = check_drift(
            settings,
            day,
            cool_down_days=params["cool_down_days"],
            maturity_hours=params["maturity_hours"],
            may_ask=True,
            on_progress=on_progress,
        )
        log.skipped = report.skipped
    return report.fields()


def _without_production(settings: Settings) -> str | None:
    """Return why there is no production version; None if there is one."""
    try:
        serving = registry(settings).resolve(PRODUCTION)
    except NotInRegistry as error:
        return f"alias {PRODUCTION} names a version that the registry does not have: {error}"
    return None if serving is not None else f"no version of {settings.model_name} has the alias {PRODUCTION}"


def day_of_run(params: Mapping[str, Any], run: RunDates) -> date:
    """Return the day that a run checks: the parameter ``day``, the day of its logical date, else the day before it.

    Args:
        params: of the run.
        run: its dates.

    Raises:
        ConfigurationError: the parameter is not a date, or the day is not over.
    """
    interval = interval_of_run({"day": params.get("day")}, run)
    if interval.end_us - interval.start_us != _DAY // timedelta(microseconds=1):
        raise ConfigurationError(
            f"{params.get('day')}", "it is not a date", "Write YYYY-MM-DD, for example 2026-11-23."
        )
    return day_of(interval.start_us)
