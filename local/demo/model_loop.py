"""The scheduled loop in the demonstration: retraining in Airflow, gate, approval, and the worker's hot swap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import psycopg

from batch.progress import OnProgress
from local.demo.airflow_api import answer_until_taken
from local.demo.airflow_runs import AirflowRuns
from local.stack.wait import wait_until

RETRAIN, PROMOTE = "retrain_model", "promote_model"
_RETRAIN_SECONDS = 900
_PROMOTE_SECONDS = 300
_STARTED_SECONDS = 120
_SERVE_SECONDS = 120
_REASON = "the demonstration's new labels"


class LoopState(StrEnum):
    """How the loop ended."""

    SERVED = "served"
    STOPPED = "stopped"
    TOO_FEW = "too few comments"
    BY_HAND = "by hand"


_STATES = {"passed": LoopState.SERVED, "stopped": LoopState.STOPPED, "too few comments": LoopState.TOO_FEW}
"""How the loop ends after each state of the gate."""


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
        needed_comments: how many would decide; None if there are enough.
        goals: goals that were stated for the new version.
        goals_from: where they were stated.
        goals_lowered: goals that its policy meets in a lowered form only, or not at all, with the cause.
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
    needed_comments: int | None = None
    goals: Sequence[str] = ()
    goals_from: str = ""
    goals_lowered: Sequence[str] = ()
    served_from: Mapping[str, int] = field(default_factory=dict)
    decided: int = 0

    @property
    def is_passed(self) -> bool:
        """Whether the gate passed the version."""
        return self.state is LoopState.SERVED


def loop_report(judged: Mapping[str, Any]) -> LoopReport:
    """Return the report of a version that does not serve yet.

    Args:
        judged: result of task ``gate``, see :class:`batch.retrain.gate.GateReport`.
    """
    figures, goals = judged["figures"], judged["goals"]
    rates = {name: float(figures[name]) for name in sorted(figures) if name.endswith("_a_day")}
    return LoopReport(
        state=_STATES[judged["state"]],
        version=str(judged["version"]),
        production=str(judged["production"] or ""),
        reasons=tuple(judged["reasons"]),
        comments=int(figures["comments"]),
        auc=figures.get("auc"),
        production_auc=figures.get("production_auc"),
        rates=rates,
        needed_comments=judged["needed_comments"],
        goals=tuple(goals["stated"]),
        goals_from=goals["origin"],
        goals_lowered=tuple(goals["lowered"]),
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
        return loop_report(self._runs.returned(RETRAIN, run_id, "gate"))

    def approve(self) -> None:
        """Answer *Approve* in the run of ``promote_model`` that waits for an approver, or in a new one.

        Raises:
            StackError: the run fails.
        """
        run_id = self._waiting_run()
        for earlier in self._runs.api.unfinished(PROMOTE):
            if earlier != run_id:
                self._reject(earlier)
        answer_until_taken(self._runs.api, PROMOTE, run_id, "approve", "Approve", _PROMOTE_SECONDS)
        self._runs.wait_for_success(PROMOTE, run_id, _PROMOTE_SECONDS)

    def _reject(self, run_id: str) -> None:
        """Answer *Reject* in the run of an earlier version, if it asks, and wait for its end.

        The nightly retraining may have started it. No other run of the DAG asks before it has ended.
        """
        api = self._runs.api

        def is_over() -> bool:
            if api.is_asking(PROMOTE, run_id, "approve"):
                api.answer(PROMOTE, run_id, "approve", "Reject")
            return run_id not in api.unfinished(PROMOTE)

        wait_until(is_over, seconds=_PROMOTE_SECONDS, description=f"the end of {PROMOTE} for an earlier version")

    def _waiting_run(self) -> str:
        """Return the newest run that asks an approver: the gate started it; a new one if the gate starts none."""
        api = self._runs.api
        if api.is_started_by_assets(PROMOTE):
            wait_until(
                lambda: bool(api.unfinished(PROMOTE)),
                seconds=_STARTED_SECONDS,
                description=f"the run of {PROMOTE} for the version that passed the gate",
            )
        return next(iter(api.unfinished(PROMOTE)), None) or api.trigger(PROMOTE, {"reason": _REASON})

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
