"""DAGs of archive, partitions and reconciliation, end to end; test_model_dags has those of models."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.dag_runs import DagRun, DagRuns
from tests.support.lakes import LakeUnderTest, held_partitions, plain
from tests.support.reconcile_day import DAY, DayUnderTest
from tests.support.reconcile_day import comments as day_comments
from tests.support.workers import SpeedLayerUnderTest, comments

pytestmark = pytest.mark.long


def test_archive_topics(dag_runs: DagRuns, lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(20)))
    run = dag_runs.run("archive_topics", lake.settings)
    assert run.state == "success"
    assert run.tasks == {"archive_comments": "success", "archive_actions": "success"}
    assert run.returned["archive_comments"]["rows"] == len(lake.content()) == 20

    lake.produce(plain(comments(20, start=20)))
    past = datetime(2023, 11, 15, tzinfo=UTC)
    with held_partitions(lake.database_url, lake.topic, lake.topic_id):
        run = dag_runs.run("archive_topics", lake.settings, logical_date=past)
    assert run.tasks == {"archive_comments": "skipped", "archive_actions": "success"}
    assert "a stranded archiver (backend" in run.returned["archive_comments"]["skipped"]
    assert "the logical date 2023-11-15T00:00:00+00:00 is ignored" in run.output


@pytest.mark.budget(20)
def test_verify_lake(dag_runs: DagRuns, lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(20)))
    lake.archive()
    run = dag_runs.run("verify_lake", lake.settings)
    assert (run.state, run.tasks) == ("success", {"verify": "success"})
    assert (run.returned["verify"]["read"], run.returned["verify"]["damaged"]) == (len(lake.files()), 0)
    (lake.folder / min(lake.files())).unlink()
    run = dag_runs.run("verify_lake", lake.settings)
    assert run.tasks == {"verify": "failed"}
    assert "it is missing" in run.output


def test_create_partitions(dag_runs: DagRuns, lake: LakeUnderTest) -> None:
    run = dag_runs.run("create_partitions", lake.settings)
    assert (run.state, run.tasks) == ("success", {"create": "success"})
    assert run.returned["create"]["days_ahead"] >= 30


COMPARED = {"compare_topics": "skipped"}  # the topics no longer keep the days of these tests


def test_reconcile_windows(dag_runs: DagRuns, layer: SpeedLayerUnderTest, tmp_path: Path) -> None:
    day = DayUnderTest(layer, tmp_path)
    layer.start_worker()
    day.send(day_comments(range(40)))
    run = dag_runs.run("reconcile_windows", day.settings, {"day": DAY.isoformat()})
    assert run.state == "success"
    assert run.tasks == {
        "archive": "success",
        "choose_days": "success",
        **COMPARED,
        "reconcile[0]": "success",
    }
    assert "keeps records for 7 days" in run.returned["compare_topics"]["skipped"]
    report = run.returned["reconcile[0]"]
    assert (report["date"], report["state"], report["batch_comments"]) == (DAY.isoformat(), "final", 40)
    assert day.run_rows("runs")[0][:3] == (DAY, 1, "final")


@pytest.mark.budget(60)
def test_a_logical_date_does_its_day_and_an_empty_day_and_a_locked_out_archive_are_skipped(
    dag_runs: DagRuns, layer: SpeedLayerUnderTest, tmp_path: Path
) -> None:
    day = DayUnderTest(layer, tmp_path)
    layer.start_worker()
    day.send(day_comments(range(40)))
    day.archive()

    def run(date: date) -> DagRun:
        noon = datetime(date.year, date.month, date.day, 12, tzinfo=UTC)
        result = dag_runs.run("reconcile_windows", day.settings, logical_date=noon)
        assert (result.state, result.returned["choose_days"]) == ("success", [date.isoformat()])
        return result

    with held_partitions(layer.database_url, layer.topic, UUID(layer.topic_id)):
        done = run(DAY)
    assert done.tasks == {**COMPARED, "archive": "skipped", "choose_days": "success", "reconcile[0]": "success"}
    assert (done.returned["reconcile[0]"]["date"], done.returned["reconcile[0]"]["skipped"]) == (DAY.isoformat(), None)
    empty = run(DAY + timedelta(days=1))
    assert empty.tasks == {**COMPARED, "archive": "success", "choose_days": "success", "reconcile[0]": "skipped"}
    reason = "neither the lake nor the ledger contains a comment of 2023-11-16"
    assert empty.returned["reconcile[0]"]["skipped"] == reason
    assert reason in empty.output
    assert sorted(row[0] for row in day.run_rows("runs")) == [DAY, DAY + timedelta(days=1)]
