"""What the worker asks the broker for is answered again after the broker was killed and restarted."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer

from local.stack import kafka
from local.stack.environment import inherited_environment
from local.stack.jars import provide
from local.stack.layout import StackLayout
from local.stack.ports import HOST, any_free_port
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.end_offsets import LogEnds, written_ends
from moderation.adapters.kafka.group_readers import GroupReaders
from moderation.adapters.kafka.topic_identity import TopicIdentity
from moderation.adapters.kafka.topics import COMMENTS, describe_topic_ids, ensure_topics, topic_uuid

PARTITIONS = range(4)
NEW_CLIENTS = 150


def prepared(folder: Path, further: dict[str, str]) -> tuple[StackLayout, KafkaConnection]:
    layout = StackLayout(folder)
    layout.make_folders()
    port, controller_port = any_free_port(), any_free_port()
    kafka.prepare(layout, provide(layout.jars), port=port, controller_port=controller_port, further=further)
    return layout, KafkaConnection.plaintext(f"{HOST}:{port}")


@contextmanager
def running(layout: StackLayout, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as file:
        process = subprocess.Popen(
            kafka.command(layout, provide(layout.jars)),
            cwd=layout.kafka,
            env=inherited_environment(),
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def seconds_of_a_new_client(connection: KafkaConnection) -> float:
    began = time.monotonic()
    assert written_ends(connection, COMMENTS.name, PARTITIONS) == dict.fromkeys(PARTITIONS, 1)
    return time.monotonic() - began


@pytest.mark.budget(40)
def test_ends_readers_and_the_id_are_known_again_after_a_kill_of_the_broker(tmp_path: Path) -> None:
    """librdkafka keeps that partitions have no leader, so that a client which asked at the wrong moment stays wrong."""
    layout, connection = prepared(tmp_path, {})
    answers = kafka.answers(connection)
    ends, readers = LogEnds(connection, COMMENTS.name), GroupReaders(connection, COMMENTS.name, "group")

    def are_known() -> bool:
        return ends.ask(PARTITIONS) == dict.fromkeys(PARTITIONS, 1) and readers.unread() == frozenset(PARTITIONS)

    with running(layout, tmp_path / "broker.log") as first:
        wait_until(answers, seconds=60, description="the broker")
        assert ensure_topics(connection, [COMMENTS])
        producer = Producer(connection.librdkafka())
        for partition in PARTITIONS:
            producer.produce(COMMENTS.name, b"{}", partition=partition)
        assert producer.flush(30) == 0
        wait_until(are_known, seconds=60, description="the first answers")
        topic_id = topic_uuid(describe_topic_ids(connection, [COMMENTS.name])[COMMENTS.name])
        identity = TopicIdentity(connection, COMMENTS.name, topic_id)
        identity.require()
        # A new client that does not ask for the leaders first waits for 3 s now and then, so many are tried.
        assert max(seconds_of_a_new_client(connection) for _ in range(NEW_CLIENTS)) < 2
        first.kill()
        first.wait(30)
        assert ends.ask(PARTITIONS) is None
        assert readers.unread() is None
    with running(layout, tmp_path / "broker.log"):
        wait_until(are_known, seconds=60, description="the same answers")
        identity.require()
