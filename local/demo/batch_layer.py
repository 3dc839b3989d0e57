"""Batch layer of the demonstration: archive through Airflow, reconcile the simulated days, check the lake."""

from __future__ import annotations

from datetime import timedelta

from batch.progress import OnProgress
from batch.reconcile.run import reconcile_day
from local.demo.airflow_runs import AirflowRuns
from local.demo.reconcile_all import ReconcileTotals, days_to_do, total_of
from local.oracle import log_ranges
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.lake.reader import opened_lake
from moderation.adapters.lake.schema import ARCHIVED
from moderation.adapters.lake.verification import inspect
from moderation.settings import Settings

_ARCHIVE_SECONDS = 300
_RECONCILE_SECONDS = 900  # the nightly run of the same days may have started first


class DemoBatch:
    """The batch layer of a stack with Airflow.

    Args:
        runs: of its Airflow.
        settings: of the project on it.
    """

    def __init__(self, runs: AirflowRuns, settings: Settings) -> None:
        self._runs = runs
        self._settings = settings
        self._reports: dict[str, dict[str, object]] = {}

    def archive(self) -> None:
        """Archive through Airflow's DAG.

        Raises:
            StackError: the run of the DAG fails.
        """
        self._runs.run("archive_topics", {}, _ARCHIVE_SECONDS)

    def reconcile(self, on_progress: OnProgress) -> None:
        """Reconcile every day that needs it, in this process.

        Args:
            on_progress: receives one line at each step.
        """
        days = days_to_do(self._settings)
        for number, day in enumerate(days, 1):
            on_progress(f"reconciling {day}, day {number} of {len(days)}")
            report = reconcile_day(self._settings, day, started_by="moderation demo")
            self._reports[day.isoformat()] = report.fields()

    def reconcile_in_airflow(self, last_days: int) -> None:
        """Archive the rest and reconcile the last simulated days through Airflow's DAG.

        Raises:
            StackError: the run of the DAG fails, as it does when there is a defect.
        """
        last = max(days_to_do(self._settings))
        form = {"start": (last - timedelta(days=last_days - 1)).isoformat(), "end": (last + timedelta(1)).isoformat()}
        run_id = self._runs.run("reconcile_windows", form, _RECONCILE_SECONDS)
        for index in range(last_days):
            report = self._runs.returned("reconcile_windows", run_id, "reconcile", map_index=index)
            self._reports[report["date"]] = report

    def reconciled(self) -> ReconcileTotals:
        """Add up the newest revisions of all days."""
        return total_of(list(self._reports.values()))

    def inspect(self) -> dict[str, int]:
        """Check the lake file by file.

        Returns:
            ``records`` of both topics and ``files``, both from the manifest; ``defects``: damaged files, offsets in no
            file, comments of the topic that the lake does not have.
        """
        prefix = self._settings.topic_prefix
        with opened_lake(self._settings) as lake:
            inspection = inspect(lake.store, lake.connection, [prefix + name for name in ARCHIVED], "digest")
        topic = prefix + COMMENTS.name
        comments = sum(file.rows for file in inspection.manifest if file.topic_partition.topic == topic)
        sent = sum(end - first for first, end in log_ranges(kafka_of(self._settings), topic).values())
        return {
            "records": sum(file.rows for file in inspection.manifest),
            "files": len(inspection.manifest),
            "defects": len(inspection.defects)
            + sum(not each.is_explained for each in inspection.missing)
            + abs(sent - comments),
        }
