"""The nightly reconciliation as the tasks of its DAG call it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from batch.job_log import RECONCILE, job_logged
from batch.progress import OnProgress, no_progress
from batch.reconcile.engines import Engine, EngineName, engine_of
from batch.reconcile.published import compare_published
from batch.reconcile.report import ReconcileReport
from batch.reconcile.run import days_to_reconcile, reconcile_day
from batch.run_interval import Interval, RunDates, interval_of_run
from moderation.adapters.reconciliation.published_checks import PublishedCheck
from moderation.errors import DefectsFound
from moderation.settings import Settings, load_settings
from moderation.timestamps import day_of

_SELECTING = ("day", "start", "end")
_MOST_DAYS = 365  # earlier days of one run; Airflow maps a task over at most 1,024 values, and the next night continues


def choose_days(params: Mapping[str, object], dag_run: Any, on_progress: OnProgress = print) -> list[str]:
    """Return the days of a run, newest first; see :func:`days_of_run`."""
    days = [day.isoformat() for day in days_of_run(load_settings(), params, RunDates.of(dag_run), on_progress)]
    on_progress(f"reconciling {', '.join(days)}")
    return days


def reconcile(day: str, engine: EngineName, started_by: str) -> dict[str, Any]:
    """Reconcile one day; its results are stored before defects fail the task.

    Args:
        day: UTC, e.g. ``2026-11-23``.
        engine: ``duckdb`` or ``spark``.
        started_by: URL of the run.

    Raises:
        DefectsFound: there are defects; the message names them.
    """
    report = reconcile_and_log(load_settings(), date.fromisoformat(day), engine_of(engine), started_by, print)
    require_sound([report])
    return report.fields()


def reconcile_and_log(
    settings: Settings, day: date, engine: Engine, started_by: str, on_progress: OnProgress, *, full: bool = False
) -> ReconcileReport:
    """Reconcile a day; store the outcome for the alert on reconciliations that do not succeed."""
    with job_logged(settings, RECONCILE, on_progress) as log:
        report = reconcile_day(settings, day, engine=engine, started_by=started_by, on_progress=on_progress, full=full)
        log.skipped = report.skipped
        log.failed = None if report.is_sound else f"{day}, revision {report.revision}: {_defects(report)}"
    return report


def compare_topics(
    params: Mapping[str, object], dag_run: Any, kafka: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Compare the published topics with the ledger for the days that a run is about; store, then fail on defects.

    Args:
        params: of the run; ``day``, or ``start`` and ``end``.
        dag_run: the run.
        kafka: settings of Airflow's Kafka connection; those of the project's settings if None.

    Returns:
        ``days``, by day one object for each topic; ``skipped`` if the topics keep no record of any of them.

    Raises:
        DefectsFound: a topic differs; the message names day, topic and counts.
    """
    settings = load_settings()
    checks = {
        day: compare_published(settings, day, kafka=kafka, on_progress=print)
        for day in _days(interval_of_run(params, RunDates.of(dag_run)))
    }
    require_published(checks)
    skipped = [check.skipped for of_day in checks.values() for check in of_day]
    return {
        "days": {day.isoformat(): [check.fields() for check in of_day] for day, of_day in checks.items()},
        "skipped": skipped[0] if all(skipped) else None,
    }


def require_published(checks: Mapping[date, Sequence[PublishedCheck]]) -> None:
    """Raise an error for the first day on which a topic differs.

    Raises:
        DefectsFound: there is such a day.
    """
    for day, of_day in checks.items():
        if defects := [str(check) for check in of_day if check.defects]:
            raise DefectsFound(
                f"published topics of {day}",
                "; ".join(defects),
                "See docs/runbooks.md, Published topics differ from the ledger.",
            )


def days_of_run(
    settings: Settings, params: Mapping[str, object], run: RunDates, on_progress: OnProgress = no_progress
) -> list[date]:
    """Return the days that a run reconciles, newest first.

    A night reconciles its day and every earlier day that needs it. Its day is the partition key, or the day before a
    run that has no date. Parameters, a backfill and a logical date select only the days that they name.

    Args:
        settings: where the database is.
        params: of the run; ``day``, or ``start`` and ``end``.
        run: its dates.
        on_progress: receives a line about days that are too old to be reconciled again.

    Raises:
        ConfigurationError: they name no interval, a day in the future, or by a logical date a day that is not over.
    """
    days = _days(interval_of_run(params, run))
    is_stated = any(params.get(name) for name in _SELECTING) or run.run_type == "backfill"
    if is_stated or (not run.partition_key and run.stated is not None):
        return days[::-1]
    return sorted({*days, *days_to_reconcile(settings, days[-1], on_progress)[:_MOST_DAYS]}, reverse=True)


def require_sound(reports: Sequence[ReconcileReport]) -> None:
    """Raise an error for the first day with defects.

    Raises:
        DefectsFound: there is such a day.
    """
    for report in reports:
        if not report.is_sound:
            raise DefectsFound(
                f"{report.day}, revision {report.revision}",
                _defects(report),
                "See the rows in dashboard Reconciliation or table batch.differences; docs/reconciliation.md.",
            )


def _defects(report: ReconcileReport) -> str:
    return ", ".join(f"{count} {name}" for name, count in report.defects.items() if count)


def _days(interval: Interval) -> list[date]:
    first = day_of(interval.start_us)
    last = day_of(interval.end_us - 1)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
