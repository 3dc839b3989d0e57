"""Which events of the DAGs are sent to people, and what starts promote_model."""

from __future__ import annotations

from tests.dags.parsed import Parsed


def test_every_failed_task_and_every_run_that_times_out_is_announced(parsed: Parsed) -> None:
    assert parsed.dags
    assert {dag["dag_id"] for dag in parsed.dags if dag["announces"] != ["timeout"]} == set()
    tasks = [(dag["dag_id"], task) for dag in parsed.dags for task in dag["tasks"]]
    assert {(name, task["task_id"]) for name, task in tasks if task["announces"]["failed"] != ["failure"]} == set()


def test_the_gate_drift_and_a_waiting_approval_are_announced(parsed: Parsed) -> None:
    announced = {
        (dag["dag_id"], task["task_id"]): task["announces"]["done"] + task["announces"]["waits"]
        for dag in parsed.dags
        for task in dag["tasks"]
    }
    assert {name: events for name, events in announced.items() if events} == {
        ("retrain_model", "gate"): ["gate"],
        ("watch_drift", "watch"): ["drift"],
        ("promote_model", "approve"): ["approval"],
    }


def test_a_version_that_passed_the_gate_starts_promote_model(parsed: Parsed) -> None:
    dags = {dag["dag_id"]: dag for dag in parsed.dags}
    assert dags["promote_model"]["assets"] == ["moderation-challenger"]
    outlets = {task["task_id"]: task["outlets"] for task in dags["retrain_model"]["tasks"]}
    assert outlets == {"retrain": [], "gate": [], "offer": ["moderation-challenger"]}
