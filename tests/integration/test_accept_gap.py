"""Lost offsets are listed, accepted by an operator and recorded."""

from __future__ import annotations

import json
import signal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from cli.main import app
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.sql.connection import connected
from moderation.adapters.sql.gaps import accept
from moderation.errors import TopicRefused
from moderation.offsets import Gap, TopicChanges
from tests.support.topic_settings import recreate_topic
from tests.support.workers import SpeedLayerUnderTest, comments

NOTHING: dict[str, Any] = {"gaps": [], "new_topic_id": None, "former_gaps": [], "accepted": False}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["accept-gap", *arguments], catch_exceptions=False)


def answer(*arguments: str, exit_code: int = 0) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def stand(layer: SpeedLayerUnderTest, following: int, published_next: int = 0) -> None:
    """Set every partition of the ledger to an offset."""
    with psycopg.connect(layer.database_url) as connection:
        for partition in range(4):
            connection.execute(
                "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
                "VALUES (%s, %s, %s, 0, %s, %s)",
                (layer.topic_id, partition, layer.topic, following, published_next),
            )


def positions(layer: SpeedLayerUnderTest, topic_id: str) -> dict[int, tuple[int, int, int]]:
    """Return first, next and published_next by partition."""
    with psycopg.connect(layer.database_url) as connection:
        rows = connection.execute(
            "SELECT partition, first, next, published_next FROM speed.source_offsets WHERE topic_id = %s", (topic_id,)
        ).fetchall()
    return {row[0]: row[1:] for row in rows}


def gaps(layer: SpeedLayerUnderTest) -> list[tuple[Any, ...]]:
    with psycopg.connect(layer.database_url) as connection:
        return connection.execute(
            "SELECT partition, first_offset, next_offset, reason, accepted_us > 1700000000000000 FROM speed.gaps "
            "WHERE topic_id = %s ORDER BY 1",
            (layer.topic_id,),
        ).fetchall()


def delete_records(layer: SpeedLayerUnderTest, starts: dict[int, int]) -> None:
    """Delete records as retention does: each partition then starts at its offset."""
    admin = AdminClient(kafka_of(layer.settings).librdkafka({"log_level": 4}))
    before = [TopicPartition(layer.topic, partition, start) for partition, start in starts.items()]
    for future in admin.delete_records(before).values():
        future.result(30)


def test_without_a_gap_there_is_nothing_to_accept(commanded: SpeedLayerUnderTest) -> None:
    assert answer() == NOTHING  # a worker that never ran begins by itself
    stand(commanded, 0)
    assert answer() == NOTHING
    assert answer("--yes") == NOTHING
    assert "no offset is missing between the worker" in run().stdout


def test_a_gap_is_shown_then_recorded_and_skipped(commanded: SpeedLayerUnderTest) -> None:
    commanded.produce(comments(200))
    stand(commanded, 5, published_next=3)
    delete_records(commanded, {1: 12, 3: 20})
    expected = [
        {"partition": 1, "first_offset": 5, "next_offset": 12},
        {"partition": 3, "first_offset": 5, "next_offset": 20},
    ]
    assert answer(exit_code=1) == NOTHING | {"gaps": expected}
    shown = run()
    assert shown.exit_code == 1
    assert "partition 1: offsets [5, 12) are gone, 7 records" in shown.stdout
    assert positions(commanded, commanded.topic_id) == dict.fromkeys(range(4), (0, 5, 3))
    assert gaps(commanded) == []

    accepted = answer("--yes", "--reason", "retention was a day")
    assert accepted == NOTHING | {"gaps": expected, "accepted": True}
    assert positions(commanded, commanded.topic_id) == {0: (0, 5, 3), 1: (0, 12, 3), 2: (0, 5, 3), 3: (0, 20, 3)}
    assert gaps(commanded) == [(1, 5, 12, "retention was a day", True), (3, 5, 20, "retention was a day", True)]
    assert answer() == NOTHING


def test_a_partition_that_moves_meanwhile_prevents_the_whole_change(commanded: SpeedLayerUnderTest) -> None:
    stand(commanded, 5)
    seen = TopicChanges((Gap(0, 5, 12), Gap(1, 4, 9)))
    with (
        connected(commanded.database_url) as connection,
        pytest.raises(TopicRefused, match=r"partition 1: it is no longer at offset 4; nothing was changed"),
    ):
        accept(connection, commanded.topic, UUID(commanded.topic_id), seen, reason="", now_us=1)
    assert positions(commanded, commanded.topic_id) == dict.fromkeys(range(4), (0, 5, 0))
    assert gaps(commanded) == []


def test_a_recreated_topic_is_accepted_from_its_log_start(commanded: SpeedLayerUnderTest) -> None:
    stand(commanded, 0)
    old, new = commanded.topic_id, recreate_topic(commanded)
    commanded.produce(comments(100))
    delete_records(commanded, {2: 3})
    assert answer(exit_code=1) == NOTHING | {"new_topic_id": new}
    shown = run().stdout
    assert f"its id is {new}" in shown
    assert f"the ledger has offsets of topic id {old}: partition 0 at 0" in shown
    assert positions(commanded, new) == {}

    assert answer("--yes") == NOTHING | {"new_topic_id": new, "accepted": True}
    assert positions(commanded, new) == {0: (0, 0, 0), 1: (0, 0, 0), 2: (3, 3, 3), 3: (0, 0, 0)}
    assert positions(commanded, old) == dict.fromkeys(range(4), (0, 0, 0))
    assert answer() == NOTHING


def test_a_topic_that_ends_before_the_ledger_cannot_be_accepted(commanded: SpeedLayerUnderTest) -> None:
    stand(commanded, 7)
    for arguments in ((), ("--yes",), ("--yes", "--json")):
        with pytest.raises(TopicRefused, match=r"it ends at 0, but the ledger accounts for offsets up to 7"):
            run(*arguments)
    assert positions(commanded, commanded.topic_id) == dict.fromkeys(range(4), (0, 7, 0))


@pytest.mark.long
def test_a_worker_continues_after_a_retention_gap_is_accepted(commanded: SpeedLayerUnderTest) -> None:
    layer = commanded
    layer.produce(comments(100))
    worker = layer.start_worker()
    layer.wait_accounted(100)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    ends = {partition: row[1] for partition, row in positions(layer, layer.topic_id).items()}
    layer.produce(comments(100, start=100))
    delete_records(layer, {0: ends[0] + 4})

    assert layer.start_worker().wait(60) == 78
    assert "accept-gap" in (layer.folder / "worker-1.log").read_text()
    gap = {"partition": 0, "first_offset": ends[0], "next_offset": ends[0] + 4}
    assert answer("--yes")["gaps"] == [gap]
    layer.start_worker()
    layer.wait_accounted(200)
    found = layer.comparison()
    assert found.is_exact, found.examples
    assert (found.decisions, found.gap_offsets) == (196, 4)


@pytest.mark.long
def test_a_worker_continues_with_a_recreated_topic_once_it_is_accepted(commanded: SpeedLayerUnderTest) -> None:
    layer = commanded
    layer.produce(comments(50))
    worker = layer.start_worker()
    layer.wait_accounted(50)
    worker.kill()
    worker.wait(10)
    new = recreate_topic(layer)
    layer.delivered = []
    layer.produce(comments(80))
    assert layer.start_worker().wait(60) == 78
    assert answer("--yes")["new_topic_id"] == new
    layer.topic_id = new
    layer.start_worker()
    layer.wait_accounted(80)
    found = layer.comparison()
    assert found.is_exact, found.examples
    assert found.decisions == 80
