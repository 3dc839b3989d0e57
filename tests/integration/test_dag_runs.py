"""DAGs of archive, partitions and reconciliation, end to end; test_model_dags has those of models."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.dag_runs import DagRuns
from tests.support.lakes import LakeUnderTest, plain
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


def test_create_partitions(dag_runs: DagRuns, lake: LakeUnderTest) -> None:
    run = dag_runs.run("create_partitions", lake.settings)
    assert (run.state, run.tasks) == ("success", {"create": "success"})
    assert run.returned["create"]["days_ahead"] >= 30


def test_reconcile_windows(dag_runs: DagRuns, layer: SpeedLayerUnderTest, tmp_path: Path) -> None:
    day = DayUnderTest(layer, tmp_path)
    layer.start_worker()
    day.send(day_comments(range(40)))
    run = dag_runs.run("reconcile_windows", day.settings, {"day": DAY.isoformat()})
    assert run.state == "success"
    assert run.tasks == {"archive": "success", "choose_days": "success", "reconcile[0]": "success"}
    report = run.returned["reconcile[0]"]
    assert (report["date"], report["state"], report["batch_comments"]) == (DAY.isoformat(), "final", 40)
    assert day.run_rows("runs")[0][:3] == (DAY, 1, "final")
