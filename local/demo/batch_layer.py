"""Batch layer of the demonstration: archive through Airflow, then reconcile every simulated day."""

from __future__ import annotations

from batch.progress import OnProgress
from batch.reconcile.run import reconcile_day
from local.demo.airflow_api import AirflowApi
from local.demo.reconcile_all import ReconcileTotals, days_to_do, total_of
from local.oracle import log_ranges
from local.stack.airflow import admin_password, url
from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.lake.reader import opened_lake
from moderation.adapters.lake.schema import ARCHIVED
from moderation.adapters.lake.verification import inspect
from moderation.errors import StackError
from moderation.settings import Settings

_ARCHIVE_SECONDS = 180
_RECONCILE_SECONDS = 900  # the nightly run of the same days may have started first


class DemoBatch:
    """The batch layer of a stack with Airflow.

    Args:
        layout: of the stack.
        info: its addresses.
        settings: of the project on it.

    Raises:
        StackError: Airflow is not available.
    """

    def __init__(self, layout: StackLayout, info: StackInfo, settings: Settings) -> None:
        password = admin_password(layout)
        if password is None:
            raise StackError("Airflow", "the stack was started without it", "Run `moderation up`.")
        self._api = AirflowApi(info, password)
        self._info = info
        self._settings = settings

    def archive(self) -> dict[str, int]:
        """Archive through Airflow's DAG, and check the lake file by file.

        Returns:
            ``records`` of both topics and ``files``, both from the manifest; ``defects``: damaged files, offsets in no
            file, comments of the topic that the lake does not have.

        Raises:
            StackError: the run of the DAG fails.
        """
        self._run("archive_topics", {}, _ARCHIVE_SECONDS)
        prefix = self._settings.topic_prefix
        with opened_lake(self._settings) as lake:
            inspection = inspect(lake.store, lake.connection, [prefix + name for name in ARCHIVED], "digest")
        topic = prefix + COMMENTS.name
        comments = sum(file.rows for file in inspection.manifest if file.topic_partition.topic == topic)
        sent = sum(end - first for first, end in log_ranges(self._settings.kafka_bootstrap, topic).values())
        return {
            "records": sum(file.rows for file in inspection.manifest),
            "files": len(inspection.manifest),
            "defects": len(inspection.defects)
            + sum(not each.is_explained for each in inspection.missing)
            + abs(sent - comments),
        }

    def reconcile(self, on_progress: OnProgress) -> ReconcileTotals:
        """Reconcile every simulated day: the last one through Airflow's DAG, the others here.

        Args:
            on_progress: receives one line at each step.

        Raises:
            StackError: the run of the DAG fails, as it does when there is a defect.
        """
        days = days_to_do(self._settings)
        reports = []
        for number, day in enumerate(days[:-1], 1):
            on_progress(f"reconciling {day}, day {number} of {len(days)}")
            reports.append(reconcile_day(self._settings, day, started_by="moderation demo").fields())
        on_progress(f"Airflow reconciles {days[-1]}, the last of {len(days)} days")
        run_id = self._run("reconcile_windows", {"day": days[-1].isoformat()}, _RECONCILE_SECONDS)
        reports.append(self._api.returned("reconcile_windows", run_id, "reconcile", map_index=0))
        return total_of(reports)

    def _run(self, dag_id: str, parameters: dict[str, object], seconds: float) -> str:
        run_id = self._api.trigger(dag_id, parameters)
        state = self._api.wait_for_end(dag_id, run_id, seconds=seconds)
        if state != "success":
            raise StackError(f"DAG {dag_id}", f"its run ended as {state}", f"See {url(self._info)}.")
        return run_id
