"""The steps of the nightly run, as its tasks call them: which days it reconciles, and how it ends."""

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

_ASKED = ("day", "start", "end")
_MOST_DAYS = 365  # of earlier ones; Airflow maps a task over 1,024 at most, and the next night goes on


def choose_days(params: Mapping[str, object], partition_key: str | None, run_after: datetime) -> list[str]:
    """The days of a run, oldest first; see :func:`days_of_run`."""
    return [day.isoformat() for day in days_of_run(load_settings(), params, partition_key, run_after)]


def reconcile(day: str, engine: EngineName, started_by: str) -> dict[str, Any]:
    """Reconcile one day; its results are kept before defects end it.

    Args:
        day: UTC, e.g. ``2026-11-23``.
        engine: ``duckdb`` or ``spark``.
        started_by: address of the run.

    Raises:
        DefectsFound: there are some; they are named.
    """
    report = reconcile_day(
        load_settings(), date.fromisoformat(day), engine=engine_of(engine), started_by=started_by, on_progress=print
    )
    require_sound([report])
    return report.fields()


def days_of_run(
    settings: Settings, params: Mapping[str, object], partition_key: str | None, run_after: datetime
) -> list[date]:
    """The days a run reconciles.

    Args:
        settings: where the database is.
        params: of the run; ``day``, or ``start`` and ``end``, ask for those days and no others.
        partition_key: a day; the run also does every earlier day that needs it. None for the day before ``run_after``.
        run_after: when the run was to begin, with its offset.

    Raises:
        ConfigurationError: parameters or key name no window.
    """
    if any(params.get(name) for name in _ASKED):
        return _days(resolve_interval(params))
    key = partition_key or (run_after.astimezone(UTC) - timedelta(days=1)).date().isoformat()
    asked = _days(resolve_interval({}, key))
    return sorted({*asked, *days_to_reconcile(settings, asked[-1])[:_MOST_DAYS]})


def require_sound(reports: Sequence[ReconcileReport]) -> None:
    """Refuse days with defects.

    Raises:
        DefectsFound: of the first such day.
    """
    for report in reports:
        if not report.is_sound:
            found = ", ".join(f"{count} {name}" for name, count in report.defects.items() if count)
            raise DefectsFound(
                f"{report.day}, revision {report.revision}",
                found,
                "See the rows in dashboard Reconciliation or table batch.differences; docs/reconciliation.md.",
            )


def _days(window: Interval) -> list[date]:
    first = day_of(window.start_us)
    last = day_of(window.end_us - 1)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
