"""Every DAG that needs no more than a lake, end to end."""

from __future__ import annotations

from tests.integration.dag_runs import DagRuns
from tests.integration.lakes import LakeUnderTest, plain
from tests.integration.workers import comments


def test_archive_topics(dag_runs: DagRuns, lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(20)))
    run = dag_runs.run("archive_topics", lake.settings)
    assert run.state == "success"
    assert run.tasks == {"archive_comments": "success", "archive_actions": "success"}
    assert run.returned["archive_comments"]["rows"] == len(lake.content()) == 20
