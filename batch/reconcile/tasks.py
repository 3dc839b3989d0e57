"""The nightly reconciliation as the tasks of its DAG call it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from batch.reconcile.engines import EngineName, engine_of
from batch.reconcile.run import ReconcileReport, days_to_reconcile, reconcile_day
from batch.run_interval import Interval, resolve_interval
from moderation.errors import DefectsFound
from moderation.settings import Settings, load_settings
from moderation.timestamps import day_of

_SELECTING = ("day", "start", "end")
_MOST_DAYS = 365  # earlier days of one run; Airflow maps a task over at most 1,024 values, and the next night continues


def choose_days(params: Mapping[str, object], partition_key: str | None, run_after: datetime) -> list[str]:
    """Return the days of a run, oldest first; see :func:`days_of_run`."""
    return [day.isoformat() for day in days_of_run(load_settings(), params, partition_key, run_after)]


def reconcile(day: str, engine: EngineName, started_by: str) -> dict[str, Any]:
    """Reconcile one day; its results are stored before defects fail the task.

    Args:
        day: UTC, e.g. ``2026-11-23``.
        engine: ``duckdb`` or ``spark``.
        started_by: URL of the run.

    Raises:
        DefectsFound: there are defects; the message names them.
    """
    report = reconcile_day(
        load_settings(), date.fromisoformat(day), engine=engine_of(engine), started_by=started_by, on_progress=print
    )
    require_sound([report])
    return report.fields()


def days_of_run(
    settings: Settings, params: Mapping[str, object], partition_key: str | None, run_after: datetime
) -> list[date]:
    """Return the days that a run reconciles.

    Args:
        settings: where the database is.
        params: of the run; ``day``, or ``start`` and ``end``, select these days only.
        partition_key: a day; the run also does every earlier day that needs it. None for the day before ``run_after``.
        run_after: scheduled start of the run, with its UTC offset.

    Raises:
        ConfigurationError: parameters or key name no interval.
    """
    if any(params.get(name) for name in _SELECTING):
        return _days(resolve_interval(params))
    key = partition_key or (run_after.astimezone(UTC) - timedelta(days=1)).date().isoformat()
    days = _days(resolve_interval({}, key))
    return sorted({*days, *days_to_reconcile(settings, days[-1])[:_MOST_DAYS]})


def require_sound(reports: Sequence[ReconcileReport]) -> None:
    """Raise an error for the first day with defects.

    Raises:
        DefectsFound: there is such a day.
    """
    for report in reports:
        if not report.is_sound:
            defects = ", ".join(f"{count} {name}" for name, count in report.defects.items() if count)
            raise DefectsFound(
                f"{report.day}, revision {report.revision}",
                defects,
                "See the rows in dashboard Reconciliation or table batch.differences; docs/reconciliation.md.",
            )


def _days(interval: Interval) -> list[date]:
    first = day_of(interval.start_us)
    last = day_of(interval.end_us - 1)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
