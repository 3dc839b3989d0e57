"""No request for a topic creates it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError as AiokafkaError
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from local.stack import kafka
from local.stack.wait import wait_until
from moderation.adapters.kafka.batch_headers import read_batch_headers
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.end_offsets import LogEnds, written_ends
from moderation.adapters.kafka.group_readers import GroupReaders
from moderation.adapters.kafka.log_sizes import log_sizes
from moderation.adapters.kafka.open_transactions import open_transactions
from tests.integration.test_broker_restart import prepared, running


def produce(connection: KafkaConnection, topic: str) -> None:
    producer = Producer(connection.librdkafka({"message.timeout.ms": 2_000}))
    producer.produce(topic, b"{}")
    assert producer.flush(10) == 0  # delivered, or given up


ASKED: dict[str, Callable[[KafkaConnection, str], object]] = {
    "ends of a new client": lambda connection, topic: written_ends(connection, topic, [0]),
    "ends": lambda connection, topic: LogEnds(connection, topic).ask([0]),
    "open transactions": open_transactions,
    "readers of a group": lambda connection, topic: GroupReaders(connection, topic, "group").unread(),
    "first batches": lambda connection, topic: read_batch_headers(connection, topic, {0: 0}),
    "sizes": lambda connection, topic: log_sizes(connection, topic, [0]),
    "a record": produce,
}


@pytest.mark.budget(40)
def test_no_request_creates_a_topic_though_the_broker_would(tmp_path: Path) -> None:
    """Brokers create topics on request by default; a topic that was deleted must not come back with other settings."""
    layout, connection = prepared(tmp_path, {"auto.create.topics.enable": "true"})
    with running(layout, tmp_path / "broker.log"):
        wait_until(kafka.answers(connection), seconds=60, description="the broker")
        for number, ask in enumerate(ASKED.values()):
            with suppress(KafkaException, AiokafkaError):
                ask(connection, f"missing-{number}")
        topics = AdminClient(connection.librdkafka()).list_topics(timeout=10).topics
        assert [name for number, name in enumerate(ASKED) if f"missing-{number}" in topics] == []
        # The broker does, for a client that allows it.
        AdminClient(connection.librdkafka({"allow.auto.create.topics": True})).list_topics("asked-for", timeout=10)
        admin = AdminClient(connection.librdkafka())
        wait_until(lambda: "asked-for" in admin.list_topics(timeout=10).topics, seconds=30, description="that topic")
