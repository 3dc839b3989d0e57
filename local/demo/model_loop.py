"""The scheduled loop in the demonstration: retraining in Airflow, gate, approval, and the worker's hot swap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import psycopg

from batch.progress import OnProgress
from local.demo.airflow_runs import AirflowRuns
from local.stack.wait import wait_until

RETRAIN, PROMOTE = "retrain_model", "promote_model"
_RETRAIN_SECONDS = 400
_PROMOTE_SECONDS = 180
_SERVE_SECONDS = 60
_REASON = "the demonstration's new labels"


class LoopState(StrEnum):
    """How the loop ended."""

    SERVED = "served"
    STOPPED = "stopped"
    TOO_FEW = "too few comments"
    BY_HAND = "by hand"


@dataclass(frozen=True, slots=True)
class LoopReport:
    """Result of the loop.

    Attributes:
        state: how it ended; ``by hand`` if it was left to the user.
        version: the new version; empty without one.
        production: the version that served before.
        reasons: of the gate, why it did not pass the version.
        comments: number of the newest comments on which the gate compared both.
        auc, production_auc: ROC AUC on these; None if they were too few.
        rates: reviews and removals a day of both versions on these comments.
        goals: goals of the new version's policy, each with its origin.
        served_from: by partition, the first offset that the new version decided.
        decided: number of comments that it decided.
    """

    state: LoopState
    version: str = ""
    production: str = ""
    reasons: Sequence[str] = ()
    comments: int = 0
    auc: float | None = None
    production_auc: float | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    goals: Mapping[str, str] = field(default_factory=dict)
    served_from: Mapping[str, int] = field(default_factory=dict)
    decided: int = 0

    @property
    def is_passed(self) -> bool:
        """Whether the gate passed the version."""
        return self.state is LoopState.SERVED


def loop_report(trained: Mapping[str, Any], judged: Mapping[str, Any]) -> LoopReport:
    """Return the report of a version that does not serve yet.

    Args:
        trained: result of task ``retrain``.
        judged: result of task ``gate``.
    """
    figures = judged["figures"]
    rates = {name: float(figures[name]) for name in sorted(figures) if name.endswith("_a_day")}
    state = LoopState.SERVED if judged["is_passed"] else LoopState.STOPPED
    if judged.get("state") == LoopState.TOO_FEW.value:
        state = LoopState.TOO_FEW
    return LoopReport(
        state=state,
        version=str(judged["version"]),
        production=str(judged["production"] or ""),
        reasons=tuple(judged["reasons"]),
        comments=int(figures["comments"]),
        auc=figures.get("auc"),
        production_auc=figures.get("production_auc"),
        rates=rates,
        goals=trained.get("goals", {}),
    )


class ModelLoop:
    """Retrains, approves and watches the worker.

    Args:
        runs: of the stack's Airflow.
        database_url: libpq URL of the ledger.
        topic_id: of topic comments.
    """

    def __init__(self, runs: AirflowRuns, database_url: str, topic_id: str) -> None:
        self._runs = runs
        self._database_url = database_url
        self._topic_id = topic_id

    def retrain(self, form: Mapping[str, Any]) -> LoopReport:
        """Trigger the retraining with a form; an empty one is untouched.

        Raises:
            StackError: the run fails.
        """
        run_id = self._runs.run(RETRAIN, form, _RETRAIN_SECONDS)
        trained, judged = (self._runs.returned(RETRAIN, run_id, task) for task in ("retrain", "gate"))
        return loop_report(trained, judged)

    def approve(self) -> None:
        """Answer *Approve* in the run of ``promote_model`` that waits for an approver, or in a new one.

        Raises:
            StackError: the run fails.
        """
        api = self._runs.api
        run_id = next(iter(api.unfinished(PROMOTE)), None) or api.trigger(PROMOTE, {"reason": _REASON})
        api.answer(PROMOTE, run_id, "approve", "Approve")
        self._runs.wait_for_success(PROMOTE, run_id, _PROMOTE_SECONDS)

    def wait_until_served(self, report: LoopReport, on_progress: OnProgress) -> LoopReport:
        """Wait until the worker has decided comments with the version; something must be sent meanwhile.

        Returns:
            The report with the first offset of each partition.

        Raises:
            StackError: the worker does not serve the version in time.
        """
        on_progress(f"waiting for a decision of version {report.version}")
        wait_until(
            lambda: bool(self._served_from(report.version)),
            seconds=_SERVE_SECONDS,
            description=f"a decision of version {report.version}",
            remedy="See the worker's log: it names a version that it refuses.",
        )
        return self.served(report)

    def served(self, report: LoopReport) -> LoopReport:
        """Return the report with what the version has decided by now."""
        with psycopg.connect(self._database_url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM speed.decisions WHERE topic_id = %s AND model_version = %s",
                (self._topic_id, report.version),
            ).fetchone()
        return replace(report, served_from=self._served_from(report.version), decided=row[0] if row else 0)

    def _served_from(self, version: str) -> dict[str, int]:
        with psycopg.connect(self._database_url) as connection:
            rows = connection.execute(
                "SELECT partition, min(from_offset) FROM speed.served WHERE topic_id = %s AND model_version = %s "
                "GROUP BY 1 ORDER BY 1",
                (self._topic_id, version),
            ).fetchall()
        return {str(partition): offset for partition, offset in rows}
