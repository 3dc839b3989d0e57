"""Find open transactions, which block readers: records after them cannot be read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import IsolationLevel
from confluent_kafka.admin import AdminClient

from moderation.adapters.kafka.batch_headers import read_batch_headers
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.end_offsets import ends_of

OPEN_SECONDS = 60.0
_REQUEST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """The oldest open transaction of a partition.

    Attributes:
        topic: full name.
        partition: its number.
        offset: offset of the first record of the transaction; readers wait there.
        waiting: number of offsets that wait.
        producer_id: Kafka's number of the producer.
        since_us: append time of the first record, microseconds since the epoch.
    """

    topic: str
    partition: int
    offset: int
    waiting: int
    producer_id: int
    since_us: int

    def message(self, kafka: KafkaConnection) -> str:
        """Describe the transaction for operators, with the command that aborts it and thereby discards its records.

        Args:
            kafka: the connection of this program; Kafka's command has none of its settings but the address.
        """
        since = datetime.fromtimestamp(self.since_us / 1e6, UTC)
        option, hint = "", ""
        if kafka.protocol != "plaintext":
            option = " --command-config FILE"
            hint = '; for FILE, or a way without it, see "Kafka\'s own tools" in docs/deploy.md'
        return (
            f"topic {self.topic} partition {self.partition}: producer {self.producer_id} has a transaction open since "
            f"{since:%Y-%m-%d %H:%M:%S} UTC; {self.waiting:,} offsets from {self.offset} on wait for it. If the "
            f"producer is gone, end it: kafka-transactions.sh --bootstrap-server {kafka.bootstrap}{option} abort "
            f"--topic {self.topic} --partition {self.partition} --start-offset {self.offset}{hint}"
        )


def open_transactions(kafka: KafkaConnection, topic: str, seconds: float = OPEN_SECONDS) -> list[OpenTransaction]:
    """Find the oldest open transaction of each partition, in order of partitions.

    Args:
        kafka: the connection.
        topic: full name.
        seconds: minimum age; producers usually end transactions quickly.

    Raises:
        KafkaException: the brokers do not answer.
        aiokafka.errors.KafkaError: they refuse.
    """
    client = AdminClient(kafka.librdkafka({"log_level": 2}))
    partitions = client.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic].partitions

    # Stable offsets first: records appended between the two requests count as waiting; the age is checked below.
    stable = ends_of(client, topic, partitions, IsolationLevel.READ_COMMITTED, _REQUEST_SECONDS)
    written = ends_of(client, topic, partitions, IsolationLevel.READ_UNCOMMITTED, _REQUEST_SECONDS)
    blocked = {partition: offset for partition, offset in stable.items() if offset < written[partition]}
    if not blocked:
        return []
    transactions = [
        OpenTransaction(
            topic,
            partition,
            blocked[partition],
            written[partition] - blocked[partition],
            batch.producer_id,
            batch.append_us,
        )
        for partition, batch in sorted(read_batch_headers(kafka, topic, blocked).items())
        if batch.is_transactional and not batch.is_control
    ]
    return [each for each in transactions if time.time() - each.since_us / 1e6 >= seconds]
