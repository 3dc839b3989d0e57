"""Default parameters and timeouts of DAGs."""

from __future__ import annotations

import re
from typing import Any

from batch.drift.params import COOL_DOWN_DAYS
from tests.conftest import ROOT
from tests.dags.parsed import Parsed

TWO_DAYS = 2 * 24 * 3_600


def dag(parsed: Parsed, name: str) -> dict[str, Any]:
    return next(dag for dag in parsed.dags if dag["dag_id"] == name)


def test_an_unanswered_promotion_is_rejected_after_two_days(parsed: Parsed) -> None:
    approve = next(task for task in dag(parsed, "promote_model")["tasks"] if task["task_id"] == "approve")
    assert (approve["unanswered"], approve["answer_seconds"]) == (["Reject"], TWO_DAYS)
    assert dag(parsed, "promote_model")["run_seconds"] > TWO_DAYS, "the run must not end before"


def test_the_cool_down_of_the_dag_is_the_default_parameter(parsed: Parsed) -> None:
    assert dag(parsed, "watch_drift")["params"]["cool_down_days"] == COOL_DOWN_DAYS


def test_every_step_that_archives_uses_the_kafka_connection() -> None:
    """`batch.retrain.tasks.retrain` archives, too; its test knows that it passes the settings on."""
    archiving = {
        path.stem: calls
        for path in (ROOT / "dags").glob("[!_]*.py")
        if (calls := re.findall(r"(?:archive\.tasks\"\)\.archive|TASKS\)\.retrain)\(.*", path.read_text()))
    }
    assert archiving.keys() == {"archive_topics", "reconcile_windows", "retrain_model"}
    assert [call for calls in archiving.values() for call in calls if "kafka_settings()" not in call] == []
