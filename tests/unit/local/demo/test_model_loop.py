"""The demonstration reports what the gate said; it never turns a stopped version into a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import pytest

from batch.retrain.gate import GateReport
from cli.demo_results import next_steps
from local.demo.airflow_runs import AirflowRuns
from local.demo.model_loop import _STATES, PROMOTE, LoopReport, LoopState, ModelLoop, loop_report
from moderation.training.gate import GateState

FIGURES = {"comments": 900, "removed": 90, "auc": 0.9, "production_auc": 0.88, "reviews_a_day": 4.0}


def judged(**fields: Any) -> dict[str, Any]:
    goals = {"stated": ["precision>=0.9"], "origin": "production version 1", "lowered": []}
    report = GateReport("2", "1", False, (), FIGURES, {}, goals=goals)
    return report.fields() | fields


def test_passed_version_is_the_one_that_is_promoted() -> None:
    report = loop_report(judged(is_passed=True, state="passed"))
    assert report.is_passed
    assert (report.version, report.production, report.auc, report.production_auc) == ("2", "1", 0.9, 0.88)
    assert report.rates == {"reviews_a_day": 4.0}
    assert (report.goals, report.goals_from) == (("precision>=0.9",), "production version 1")


def test_stopped_version_keeps_its_reasons() -> None:
    report = loop_report(judged(reasons=["its AUC may be lower"]))
    assert (report.state, report.reasons, report.is_passed) == (LoopState.STOPPED, ("its AUC may be lower",), False)


def test_too_few_comments_are_a_state_of_their_own_with_the_number_needed() -> None:
    report = loop_report(judged(state="too few comments", needed_comments=2_500))
    assert (report.state, report.comments, report.needed_comments) == (LoopState.TOO_FEW, 900, 2_500)


def test_every_state_of_the_gate_is_known() -> None:
    assert {*get_args(GateState)} == _STATES.keys()


@pytest.mark.parametrize("state", list(LoopState))
def test_last_lines_name_the_pages_and_the_folder(state: LoopState) -> None:
    report = LoopReport(state, version="2", production="1")
    lines = next_steps(report, "http://127.0.0.1:1", "http://127.0.0.1:2", Path("var-demo"))
    text = "\n".join(lines)
    for part in ("2/dags/retrain_model", "2/dags/promote_model", "1/#/models/comment-moderation"):
        assert part in text
    assert lines[-1].startswith("stop it: moderation down --data-folder var-demo")


class FakeAirflow:
    """Stands for both the API and its runs; notes what is triggered and answered."""

    def __init__(self, unfinished: Sequence[str], *, is_started_by_assets: bool, rejected: str | None = None) -> None:
        self.api = self
        self.triggered: list[str] = []
        self.answered: list[tuple[str, str]] = []
        self._unfinished = unfinished
        self._rejected = rejected
        self._asked_again = 1
        self._is_started_by_assets = is_started_by_assets

    def is_started_by_assets(self, dag_id: str) -> bool:
        return self._is_started_by_assets

    def unfinished(self, dag_id: str) -> Sequence[str]:
        return [run for run in self._unfinished if (run, "Reject") not in self.answered]

    def trigger(self, dag_id: str, parameters: Mapping[str, object]) -> str:
        assert parameters["reason"]
        self.triggered.append(dag_id)
        return "new"

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        self.answered.append((run_id, option))

    def is_asking(self, dag_id: str, run_id: str, task_id: str) -> bool:
        """Ask once more after the first answer, as Airflow does if it took the asking task for failed."""
        if run_id == self._rejected:
            return (run_id, "Reject") not in self.answered
        self._asked_again -= 1
        return self._asked_again >= 0

    def states(self, dag_id: str, run_id: str) -> Mapping[str, str]:
        return {"approve": "success"}

    def wait_for_success(self, dag_id: str, run_id: str, seconds: float) -> None:
        assert self.answered[-1][0] == run_id


@pytest.mark.parametrize(
    ("unfinished", "is_started_by_assets", "answered"),
    [(["gate's"], True, "gate's"), (["earlier"], False, "earlier"), ([], False, "new")],
)
def test_run_that_waits_for_an_approver_is_answered_before_another_is_started(
    unfinished: list[str], is_started_by_assets: bool, answered: str
) -> None:
    airflow = FakeAirflow(unfinished, is_started_by_assets=is_started_by_assets)
    ModelLoop(cast("AirflowRuns", airflow), "postgresql://", "id").approve()
    assert airflow.answered == [(answered, "Approve")] * 2, "an answer that Airflow lost is given again"
    assert airflow.triggered == ([PROMOTE] if answered == "new" else [])


def test_runs_of_earlier_versions_are_rejected_before_the_newest_is_approved() -> None:
    airflow = FakeAirflow(["gate's", "nightly's"], is_started_by_assets=True, rejected="nightly's")
    ModelLoop(cast("AirflowRuns", airflow), "postgresql://", "id").approve()
    assert airflow.answered == [("nightly's", "Reject"), ("gate's", "Approve"), ("gate's", "Approve")]
