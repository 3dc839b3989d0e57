"""``moderation skip``: a record that ends every worker is skipped, recorded and reconciled."""

from __future__ import annotations

import json
import signal

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from moderation.errors import TopicRefused
from tests.support.reconcile_day import DAY, DayUnderTest
from tests.support.reconcile_day import comments as day_comments
from tests.support.workers import SpeedLayerUnderTest


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["skip", *arguments], catch_exceptions=False)


@pytest.fixture
def day(commanded: SpeedLayerUnderTest, tmp_path_factory: pytest.TempPathFactory) -> DayUnderTest:
    return DayUnderTest(commanded, tmp_path_factory.mktemp("lake"))


@pytest.mark.budget(30)
def test_the_next_record_is_skipped_and_reconciliation_names_it(day: DayUnderTest) -> None:
    layer = day.layer
    layer.start_worker()
    day.send(day_comments(range(40)))
    layer.stop()
    layer.produce(day_comments(range(40, 60)))
    ((partition, offset),) = day.execute(
        "SELECT partition, next FROM speed.source_offsets WHERE topic_id = %s ORDER BY 1 LIMIT 1", layer.topic_id
    )
    done = run(str(partition), str(offset), "--reason", "it kills the worker", "--json")
    assert (done.exit_code, json.loads(done.stdout)["offset"]) == (0, offset)
    kept = day.execute(
        "SELECT reason, detail, raw_length > 50 FROM speed.dead_letters WHERE topic_id = %s", layer.topic_id
    )
    assert kept == [("processing_failed", "skipped by an operator: it kills the worker", True)]
    with pytest.raises(TopicRefused, match=f"expects offset {offset + 1} next; nothing was changed"):
        run(str(partition), str(offset))
    layer.start_worker()
    layer.wait_accounted(60)
    found = layer.comparison()
    assert found.is_exact, found.examples
    assert (found.decisions, found.dead_letters) == (59, 1)
    day.archive()
    report = day.reconcile(DAY)
    assert report.is_sound
    assert {cause: rows for cause, rows in report.causes.items() if rows} == {"quarantined": 1}
    assert (report.batch_comments, report.speed_comments, report.state) == (60, 59, "final")


@pytest.mark.long
@pytest.mark.budget(40)
def test_a_running_worker_restarts_once_and_continues_after_the_skipped_record(
    commanded: SpeedLayerUnderTest,
) -> None:
    layer = commanded
    worker = layer.start_worker()
    layer.produce(day_comments(range(40)))
    layer.wait_accounted(40)
    # Suspended, the worker keeps its partitions and its position while the record arrives and is skipped.
    worker.send_signal(signal.SIGSTOP)
    layer.produce(day_comments(range(40, 60)))
    place = layer.delivered[40]
    done = run(str(place.partition), str(place.offset))
    assert done.exit_code == 0, done.output
    assert f"starts at offset {place.offset + 1}" in done.output
    worker.send_signal(signal.SIGCONT)
    assert worker.wait(60) == 75
    assert "`moderation skip`" in (layer.folder / "worker-0.log").read_text()
    with pytest.raises(TopicRefused, match=f"offset {place.offset} is accounted for already"):
        run(str(place.partition), str(place.offset))
    layer.start_worker()
    layer.wait_accounted(60)
    found = layer.comparison()
    assert found.is_exact, found.examples
    assert (found.decisions, found.dead_letters) == (59, 1)


def test_a_partition_that_no_worker_has_read_yet_cannot_be_skipped(commanded: SpeedLayerUnderTest) -> None:
    commanded.produce(day_comments(range(20)))
    place = commanded.delivered[0]
    with pytest.raises(TopicRefused, match="no worker has read this partition yet") as refused:
        run(str(place.partition), str(place.offset))
    assert "Start a worker" in refused.value.remedy
    assert "None" not in str(refused.value)


@pytest.mark.parametrize("place", [("0", "999999"), ("9", "0")])
def test_a_missing_record_cannot_be_skipped(commanded: SpeedLayerUnderTest, place: tuple[str, str]) -> None:
    with pytest.raises(TopicRefused, match=f"partition {place[0]}: it has no record at offset {place[1]}"):
        run(*place)
