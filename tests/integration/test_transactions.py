"""Transactional producers, as in Flink, Kafka Streams and Debezium: markers, aborted and open transactions.

Adds to the other tests of the worker, whose producers leave no offset without a record.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Producer
from psycopg import sql
from typer.testing import CliRunner

from cli.main import app
from local.oracle import DeliveryReport
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.end_offsets import LogEnds
from moderation.adapters.kafka.open_transactions import open_transactions
from moderation.adapters.kafka.topics import COMMENTS
from tests.support.lakes import SMALL, LakeUnderTest
from tests.support.reconcile_day import DayUnderTest
from tests.support.reconcile_day import comments as of_the_day
from tests.support.workers import Record, SpeedLayerUnderTest, comments


class Transactional:
    """Producer with an open transaction."""

    def __init__(self, layer: SpeedLayerUnderTest, name: str) -> None:
        self._layer = layer
        own = {
            "transactional.id": f"{layer.settings.topic_prefix}{name}",
            "partitioner": "murmur2_random",
            "log_level": 2,
        }
        self._producer = Producer(kafka_of(layer.settings).librdkafka(own))
        self._producer.init_transactions(30)

    def send(self, records: Iterable[Record]) -> list[DeliveryReport]:
        """Begin a transaction and send records in it."""
        self._producer.begin_transaction()
        sent: list[DeliveryReport] = []

        def note(error: object, message: object) -> None:
            assert error is None, error
            digest = hashlib.sha256(message.value()).hexdigest()  # type: ignore[attr-defined]
            sent.append(DeliveryReport(message.partition(), message.offset(), digest))  # type: ignore[attr-defined]

        for key, value in records:
            self._producer.produce(self._layer.topic, value, key=key, on_delivery=note)
        assert self._producer.flush(30) == 0
        return sent

    def commit(self) -> None:
        self._producer.commit_transaction(30)

    def abort(self) -> None:
        self._producer.abort_transaction(30)


def holes(layer: SpeedLayerUnderTest, schema: str = "speed") -> dict[str, int]:
    """Return the offsets without a record by kind, as the speed layer or the archive recorded them."""
    query = sql.SQL("SELECT kind, sum(next_offset - first_offset)::int FROM {}.holes WHERE topic_id = %s GROUP BY 1")
    with psycopg.connect(layer.database_url) as connection:
        rows = connection.execute(query.format(sql.Identifier(schema)), (layer.topic_id,))
        return dict(rows.fetchall())


def positions(layer: SpeedLayerUnderTest) -> dict[int, int]:
    """Return the next offset of the ledger by partition."""
    with psycopg.connect(layer.database_url) as connection:
        rows = connection.execute(
            "SELECT partition, next FROM speed.source_offsets WHERE topic_id = %s", (layer.topic_id,)
        )
        return dict(rows.fetchall())


def is_at_the_end(layer: SpeedLayerUnderTest) -> bool:
    """Return whether the ledger accounts for all offsets up to the last stable ones."""
    found = positions(layer)
    return bool(found) and found == LogEnds(kafka_of(layer.settings), layer.topic).ask(found)


@pytest.mark.budget(60)
def test_only_committed_records_are_decided_and_an_open_transaction_blocks_later_ones(
    layer: SpeedLayerUnderTest,
) -> None:
    worker = layer.start_worker()
    layer.produce(comments(40))
    one, other = Transactional(layer, "one"), Transactional(layer, "other")
    layer.delivered += one.send(comments(40, start=100))
    one.commit()
    one.send(comments(40, start=200))
    one.abort()
    layer.produce(comments(40, start=300))
    wait_until(lambda: is_at_the_end(layer), seconds=60, description="the end of the topic")
    partitions = COMMENTS.partitions
    assert holes(layer) == {"marker": 2 * partitions, "aborted": 40}

    layer.delivered += other.send(comments(40, start=400))
    layer.produce(comments(40, start=500))
    wait_until(lambda: is_at_the_end(layer), seconds=30, description="the last stable offsets")
    assert layer.accounted() == 160 + 2 * partitions
    opened = open_transactions(kafka_of(layer.settings), layer.topic, seconds=0)
    assert {each.partition: each.offset for each in opened} == dict(positions(layer))
    assert all(each.producer_id >= 0 and time.time() - each.since_us / 1e6 < 120 for each in opened)
    assert f"--partition 0 --start-offset {opened[0].offset}" in opened[0].message(kafka_of(layer.settings))
    assert open_transactions(kafka_of(layer.settings), layer.topic) == []  # so young ones are nobody's concern
    worker.kill()
    worker = layer.start_worker()
    wait_until(lambda: is_at_the_end(layer), seconds=60, description="the last stable offsets after a restart")
    other.commit()
    layer.wait_accounted(240 + 3 * partitions)

    assert worker.poll() is None
    assert holes(layer) == {"marker": 3 * partitions, "aborted": 40}
    found = layer.comparison()
    assert found.is_exact, found
    assert (found.decisions, found.hole_offsets, found.unreadable_offsets) == (200, 40 + 3 * partitions, 0)


@pytest.mark.budget(30)
def test_a_day_with_transactions_is_archived_and_reconciled_without_a_defect(
    layer: SpeedLayerUnderTest, tmp_path: Path
) -> None:
    day = DayUnderTest(layer, tmp_path)
    layer.start_worker()
    one, other = Transactional(layer, "one"), Transactional(layer, "other")
    for first in range(0, 200, 50):
        layer.delivered += one.send(of_the_day(range(first, first + 40)))
        one.commit()
        one.send(of_the_day(range(first + 40, first + 50)))
        one.abort()
    other.send(of_the_day(range(200, 220)))
    layer.produce(of_the_day(range(220, 240)))
    wait_until(lambda: is_at_the_end(layer), seconds=60, description="the last stable offsets")
    day.archive(limits=SMALL)
    report = day.reconcile()
    assert report.defects == dict.fromkeys(report.defects, 0)
    assert (report.batch_comments, report.speed_comments) == (160, 160)

    other.abort()
    wait_until(lambda: is_at_the_end(layer), seconds=30, description="the end of the topic")
    for _ in range(2):
        day.archive(limits=SMALL)
    report = day.reconcile()
    assert report.defects == dict.fromkeys(report.defects, 0)
    assert (report.batch_comments, report.speed_comments) == (180, 180)
    found_holes = holes(layer)
    assert holes(layer, "batch") == found_holes
    assert found_holes["aborted"] == 60
    assert found_holes["marker"] >= 9
    lake = LakeUnderTest(day.settings)
    found = lake.inspect()
    assert found.is_whole, found.defects
    assert found.missing == []
    assert len(lake.content()) == 180


def test_a_hole_in_the_lake_that_the_ledger_decided_is_a_defect(layer: SpeedLayerUnderTest, tmp_path: Path) -> None:
    day = DayUnderTest(layer, tmp_path)
    layer.start_worker()
    layer.produce(of_the_day(range(40)))
    layer.wait_accounted(40)
    day.archive()
    day.execute(
        "INSERT INTO batch.holes SELECT topic_id, partition, next_offset - 1, next_offset, 'marker', 0, '' "
        "FROM batch.files WHERE topic_id = %s AND partition = 0",
        layer.topic_id,
    )
    (defect,) = LakeUnderTest(day.settings).inspect().defects
    assert "-1 of its offsets" in defect.cause


@pytest.mark.long
@pytest.mark.budget(60)
def test_a_worker_waits_for_an_open_transaction_that_an_earlier_version_decided(
    commanded: SpeedLayerUnderTest, tmp_path: Path
) -> None:
    """An earlier version read records before their transaction ended and left this position."""
    layer = commanded
    layer.start_worker()
    layer.produce(comments(40))
    layer.wait_accounted(40)
    layer.stop()
    lake = LakeUnderTest(layer.settings.model_copy(update={"lake_url": str(tmp_path / "lake")}))
    lake.archive()
    one = Transactional(layer, "one")
    sent = one.send(comments(40, start=40))
    readable = positions(layer)
    ahead = readable[sent[0].partition] + 1
    with psycopg.connect(layer.database_url) as connection:
        moved = "UPDATE {} SET {} = {} + 1 WHERE topic_id = %s AND partition = %s"
        for table, column in (("speed.source_offsets", "next"), ("batch.files", "next_offset")):
            statement = sql.SQL(moved).format(sql.SQL(table), *2 * (sql.Identifier(column),))
            connection.execute(statement, (layer.topic_id, sent[0].partition))
    worker = layer.start_worker()
    log = layer.folder / "worker-1.log"
    warned = "of a transaction that is still open"
    wait_until(lambda: log.exists() and warned in log.read_text(), seconds=60, description="the warning")
    assert f"accounts for offsets up to {ahead}, but the topic is readable up to {ahead - 1} only" in log.read_text()
    assert "kafka-transactions.sh" in log.read_text()
    shown = CliRunner().invoke(app, ["accept-gap"], catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    assert "decided records of a transaction that is still open" in shown.output
    (note,) = [each.note for each in lake.archive().topics[0].partitions if each.note]
    assert f"a transaction is open at offset {ahead - 1}" in note

    one.commit()
    wait_until(lambda: is_at_the_end(layer), seconds=40, description="the end of the topic")
    assert worker.poll() is None
    assert "brokers lost records" not in log.read_text()


def test_a_topic_that_ends_with_markers_only_is_read_to_its_end(layer: SpeedLayerUnderTest) -> None:
    layer.start_worker()
    one = Transactional(layer, "one")
    one.send(comments(40))
    one.abort()
    wait_until(lambda: is_at_the_end(layer), seconds=60, description="the end of the topic")
    assert holes(layer)["aborted"] == 40
    found = layer.comparison()
    assert found.is_exact, found
    assert found.decisions == 0
