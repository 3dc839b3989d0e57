"""Default parameters and timeouts of DAGs."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from batch.drift.params import COOL_DOWN_DAYS
from batch.run_interval import RunDates, interval_of_run
from moderation.timestamps import day_of
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


DAYS = [date(2026, 11, 23), date(2026, 11, 24), date(2026, 11, 25)]


def backfilled(parsed: Parsed, name: str) -> list[RunDates]:
    """Return the runs of a backfill from 2026-11-23 to 2026-11-26."""
    return [
        RunDates("backfill", datetime.fromisoformat(after), logical and datetime.fromisoformat(logical), key)
        for after, logical, key in dag(parsed, name)["backfill"]
    ]


@pytest.mark.parametrize("name", ["reconcile_windows", "watch_drift"])
def test_a_backfill_does_each_of_its_days(parsed: Parsed, name: str) -> None:
    starts_us = [interval_of_run({}, run).start_us for run in backfilled(parsed, name)]
    assert [day_of(start_us) for start_us in starts_us] == DAYS


def test_a_scheduled_drift_check_and_its_logical_date_mean_the_same_day(parsed: Parsed) -> None:
    for run in backfilled(parsed, "watch_drift"):
        assert interval_of_run({}, replace(run, run_type="scheduled")) == interval_of_run({}, run)


def test_retrainings_and_comparisons_are_backfilled_as_of_each_date(parsed: Parsed) -> None:
    assert [run.stated for run in backfilled(parsed, "retrain_model")] == [
        datetime.combine(day, time(3, 30), UTC) for day in DAYS
    ]
    assert len(backfilled(parsed, "compare_challenger")) == 3 * 24


def test_a_dag_without_a_date_refuses_a_backfill(parsed: Parsed) -> None:
    refusing = {dag["dag_id"] for dag in parsed.dags if dag["backfill"] is None}
    scheduled = {"archive_topics", "create_partitions", "verify_lake"}
    assert refusing == {*scheduled, "bootstrap_model", "promote_model", "rescore_comments", "rollback_model"}
