"""Reconcile all days of a stack and add up the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from batch.archive.run import archive_topics
from batch.progress import OnProgress
from batch.reconcile.engines import SparkEngine
from batch.reconcile.run import days_to_reconcile, reconcile_day
from moderation.adapters.lake.file_boundaries import FileLimits
from moderation.settings import Settings

_LIMITS = FileLimits(file_rows=2_000)
"""Each day reads only the files that may have its comments: small files, so that days do not read each other's."""
_SPARK_MEMORY = "1g"


@dataclass(frozen=True, slots=True)
class ReconcileTotals:
    """Sums of the reconciliation of several days.

    Attributes:
        days: number of days.
        final: number of days in state ``final``.
        waits_for: what keeps the other days provisional: readers that have not read a partition to its end, each once.
        batch_comments, speed_comments: in the panes of these days.
        causes: rows by cause.
        defects: rows of all causes that are defects, ``residual`` panes, and ``not_recomputed`` records.
        with_spark: days that Spark reconciled too.
        engines_differ: number of these days on which Spark and DuckDB differ.
    """

    days: int = 0
    final: int = 0
    waits_for: list[str] = field(default_factory=list)
    batch_comments: int = 0
    speed_comments: int = 0
    causes: dict[str, int] = field(default_factory=dict)
    defects: dict[str, int] = field(default_factory=dict)
    with_spark: int = 0
    engines_differ: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether days were reconciled without defects and with equal results of the engines."""
        return self.days > 0 and not any(self.defects.values()) and not self.engines_differ


def total_of(reports: Sequence[dict[str, Any]]) -> ReconcileTotals:
    """Add up reports of days, as :meth:`batch.reconcile.report.ReconcileReport.fields` returns them; at least one."""
    causes, defects = (
        {name: sum(report[kind][name] for report in reports) for name in reports[0][kind]}
        for kind in ("causes", "defects")
    )
    return ReconcileTotals(
        days=len(reports),
        final=sum(report["state"] == "final" for report in reports),
        waits_for=list(dict.fromkeys(reason for report in reports for reason in report["waits_for"])),
        batch_comments=sum(report["batch_comments"] for report in reports),
        speed_comments=sum(report["speed_comments"] for report in reports),
        causes=causes,
        defects=defects,
    )


def days_to_do(settings: Settings) -> list[date]:
    """Return the days that need a reconciliation, newest first."""
    return days_to_reconcile(settings, datetime.now(UTC).date())


def reconcile_all(
    settings: Settings, started_by: str, on_progress: OnProgress, *, spark: bool = False
) -> ReconcileTotals:
    """Archive both topics in small files, then reconcile every day that needs it, in this process.

    Args:
        settings: addresses of the servers and the lake.
        started_by: stored with the runs.
        on_progress: receives one line at each step.
        spark: reconcile each day with Spark too and compare the results.
    """
    on_progress("archiving")
    archive_topics(settings, limits=_LIMITS, on_progress=on_progress)
    days = days_to_do(settings)
    reports = []
    differ = 0
    for number, day in enumerate(days, 1):
        on_progress(f"reconciling {day}, day {number} of {len(days)}")
        report = reconcile_day(settings, day, started_by=started_by)
        reports.append(report.fields())
        if spark:
            on_progress(f"reconciling {day} with Spark")
            again = reconcile_day(settings, day, engine=SparkEngine(memory=_SPARK_MEMORY), started_by=started_by)
            # Equal results add no revision.
            differ += again.revision != report.revision
    if not reports:
        return ReconcileTotals()
    return replace(total_of(reports), with_spark=len(days) if spark else 0, engines_differ=differ)
