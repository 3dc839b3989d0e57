"""A topic that changes under a running worker: re-created, or with more partitions.

Adds to test_accept_gap, where the worker is down meanwhile: here records of the new topic arrive while it runs.
"""

from __future__ import annotations

import json
import threading

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions
from typer.testing import CliRunner

from cli.main import app
from local.oracle import read_topic
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import describe_topic_ids, ensure_topics, producer_settings, topic_uuid
from tests.support.workers import SpeedLayerUnderTest, comments

pytestmark = pytest.mark.long


def admin_of(layer: SpeedLayerUnderTest) -> AdminClient:
    return AdminClient(kafka_of(layer.settings).librdkafka({"log_level": 2}))


def created_again(layer: SpeedLayerUnderTest) -> str:
    """Re-create the topic at once; return its new id."""
    admin, kafka, prefix = admin_of(layer), kafka_of(layer.settings), layer.settings.topic_prefix
    for future in admin.delete_topics([layer.topic]).values():
        future.result(30)

    def is_there() -> bool:
        ensure_topics(kafka, prefix=prefix)
        return str(topic_uuid(describe_topic_ids(kafka, [layer.topic])[layer.topic])) != layer.topic_id

    wait_until(is_there, seconds=30, description="the new topic")
    return str(topic_uuid(describe_topic_ids(kafka, [layer.topic])[layer.topic]))


class Traffic:
    """Sends comments continuously, also while their topic is deleted, until it is stopped."""

    def __init__(self, layer: SpeedLayerUnderTest) -> None:
        self._layer = layer
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send, name="traffic")

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _send(self) -> None:
        settings = producer_settings(kafka_of(self._layer.settings), 10) | {"enable.idempotence": False}
        producer = Producer(settings | {"topic.metadata.refresh.interval.ms": 500, "log_level": 0})
        number = 0
        while not self._stopped.wait(0.02):
            for key, value in comments(20, start=1_000_000 + number):
                producer.produce(self._layer.topic, value, key=key)
            number += 20
            producer.poll(0)
        producer.flush(20)


def rows_of(layer: SpeedLayerUnderTest, topic_id: str) -> int:
    with psycopg.connect(layer.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM speed.decisions WHERE topic_id = %s", (topic_id,)).fetchone()
    assert row is not None
    return int(row[0])


def test_a_record_that_differs_from_the_ledger_stops_the_worker(layer: SpeedLayerUnderTest) -> None:
    """As after the election of a replica without the newest records: topic id and offsets stay the same."""
    worker = layer.start_worker()
    layer.produce(comments(200))
    layer.wait_accounted(200)
    worker.kill()
    worker.wait(30)
    layer.start_worker()
    layer.produce(comments(20, start=200))
    layer.wait_accounted(220)
    layer.workers[1].kill()
    layer.workers[1].wait(30)
    with psycopg.connect(layer.database_url) as connection:
        changed = connection.execute(
            "UPDATE speed.decisions d SET append_us = append_us + 1000 FROM speed.source_offsets o "
            'WHERE (o.topic_id, o.partition, o.next - 1) = (d.topic_id, d.partition, d."offset") '
            "AND d.topic_id = %s AND d.partition = 0",
            (layer.topic_id,),
        )
        assert changed.rowcount == 1
    worker = layer.start_worker()
    assert worker.wait(60) == 78
    assert "the ledger has another time" in (layer.folder / "worker-2.log").read_text()


@pytest.mark.parametrize("decided_before", [20, 2_000])
@pytest.mark.budget(90)
def test_a_topic_recreated_under_load_loses_nothing_silently(
    commanded: SpeedLayerUnderTest, decided_before: int
) -> None:
    layer = commanded
    worker = layer.start_worker()
    layer.produce(comments(decided_before))
    layer.wait_accounted(decided_before)
    old = layer.topic_id
    with Traffic(layer):
        wait_until(lambda: layer.accounted() > decided_before, seconds=30, description="decisions under load")
        new = created_again(layer)
        code = worker.wait(60)
    log = (layer.folder / "worker-0.log").read_text()
    assert code == 78, log[-4_000:]
    assert "deleted and created again" in log or "was re-created" in log
    # Nothing of the new topic is under the old id: the old one's rows are as many as it says it accounts for.
    assert rows_of(layer, old) == layer.accounted()
    answered = CliRunner().invoke(app, ["accept-gap", "--yes", "--json"], catch_exceptions=False)
    assert json.loads(answered.stdout)["new_topic_id"] == new
    layer.topic_id, layer.delivered = new, []
    sent = len(read_topic(kafka_of(layer.settings), layer.topic))
    assert sent > 0
    layer.start_worker()
    layer.wait_accounted(sent)
    found = layer.comparison()
    assert found.is_exact, found.examples
    assert found.decisions == sent


@pytest.mark.budget(40)
def test_partitions_that_are_added_are_read_within_seconds_and_accepted_by_the_topics_command(
    commanded: SpeedLayerUnderTest,
) -> None:
    layer = commanded
    worker = layer.start_worker()
    layer.produce(comments(100))
    layer.wait_accounted(100)
    admin = admin_of(layer)  # must outlive its futures
    for future in admin.create_partitions([NewPartitions(layer.topic, 8)]).values():
        future.result(30)
    wait_until(lambda: partitions_of(layer) == 8, seconds=10, description="the partitions")
    layer.produce(comments(800, start=100))
    layer.wait_accounted(900, seconds=20)
    assert worker.poll() is None
    found = layer.comparison()
    assert found.is_exact, found.examples
    with psycopg.connect(layer.database_url) as connection:
        read = connection.execute(
            "SELECT count(*) FROM speed.source_offsets WHERE topic_id = %s AND next > 0", (layer.topic_id,)
        ).fetchone()
    assert read == (8,)
    done = CliRunner().invoke(app, ["topics"], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def partitions_of(layer: SpeedLayerUnderTest) -> int:
    return len(admin_of(layer).list_topics(layer.topic, timeout=10).topics[layer.topic].partitions)
