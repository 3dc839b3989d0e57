"""Every DAG that needs no more than a lake, end to end."""

from __future__ import annotations

from tests.integration.dag_runs import DagRuns
from tests.integration.lakes import LakeUnderTest, plain
from tests.integration.workers import comments


def test_archive_topics_and_a_run_of_nothing_new(dag_runs: DagRuns, lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(20)))
    first = dag_runs.run("archive_topics", lake.settings)
    assert first.state == "success"
    assert first.tasks == {"archive_comments": "success", "archive_actions": "success"}
    assert first.returned["archive_comments"]["rows"] == len(lake.content()) == 20
    second = dag_runs.run("archive_topics", lake.settings)
    assert second.returned["archive_comments"]["rows"] == 0
