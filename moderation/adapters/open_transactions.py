"""Transactions that were begun on a topic and neither committed nor aborted: nothing behind them can be read."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition as _Place
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from moderation.adapters.record_batches import Batches

OPEN_SECONDS = 60.0
_REQUEST_SECONDS = 5.0
_FETCH_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """The oldest open transaction of a partition.

    Attributes:
        topic: full name.
        partition: its number.
        offset: of the transaction's first record; it and what follows it wait.
        waiting: how many offsets do.
        producer_id: Kafka's number of the producer.
        since_us: append time of the first record, microseconds since the epoch.
    """

    topic: str
    partition: int
    offset: int
    waiting: int
    producer_id: int
    since_us: int

    def told(self, bootstrap: str) -> str:
        """What an operator is told, with the command that ends it; its records count as never sent then."""
        since = datetime.fromtimestamp(self.since_us / 1e6, UTC)
        return (
            f"topic {self.topic} partition {self.partition}: producer {self.producer_id} has a transaction open since "
            f"{since:%Y-%m-%d %H:%M:%S} UTC; {self.waiting:,} offsets from {self.offset} on wait for it. If the "
            f"producer is gone, end it: kafka-transactions.sh --bootstrap-server {bootstrap} abort "
            f"--topic {self.topic} --partition {self.partition} --start-offset {self.offset}"
        )


def open_transactions(bootstrap: str, topic: str, seconds: float = OPEN_SECONDS) -> list[OpenTransaction]:
    """Find the partitions whose last stable offset is not their end, and what keeps it there, in order.

    Args:
        bootstrap: addresses of brokers.
        topic: full name.
        seconds: since when at least; producers end theirs within moments.

    Raises:
        KafkaException: the brokers do not answer.
        aiokafka.errors.KafkaError: they refuse.
    """
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    partitions = client.list_topics(topic, timeout=_REQUEST_SECONDS).topics[topic].partitions
    places = [TopicPartition(topic, partition) for partition in sorted(partitions)]

    def ends(level: IsolationLevel) -> dict[int, int]:
        wanted: Any = {place: OffsetSpec.latest() for place in places}  # type: ignore[no-untyped-call]
        futures = client.list_offsets(wanted, isolation_level=level, request_timeout=_REQUEST_SECONDS)
        return {place.partition: int(future.result().offset) for place, future in futures.items()}

    # The stable offsets first: what is appended meanwhile counts as waiting for a moment, and is looked at below.
    stable = ends(IsolationLevel.READ_COMMITTED)
    written = ends(IsolationLevel.READ_UNCOMMITTED)
    held = {partition: offset for partition, offset in stable.items() if offset < written[partition]}
    if not held:
        return []
    firsts = asyncio.run(_batches_at(bootstrap, topic, held))
    found = [
        OpenTransaction(topic, partition, held[partition], written[partition] - held[partition], *first)
        for partition, first in sorted(firsts.items())
    ]
    return [each for each in found if time.time() - each.since_us / 1e6 >= seconds]


async def _batches_at(bootstrap: str, topic: str, places: dict[int, int]) -> dict[int, tuple[int, int]]:
    """Producer id and append time of the transactional batches at these offsets."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=round(_REQUEST_SECONDS * 1_000))
    try:
        await client.bootstrap()
        await client.set_topics([topic])
        found = {}
        for partition, offset in places.items():
            leader = client.cluster.leader_for_partition(_Place(topic, partition))
            if leader is None or leader < 0:
                continue
            request = FetchRequest(100, 1, _FETCH_BYTES, 0, [(topic, [(partition, offset, _FETCH_BYTES)])])
            answer = await client.send(leader, request)
            for _, answers in answer.topics:
                for _, error, _, *data in answers:
                    batches = Batches(data[-1] or b"")
                    if error or not batches.has_next():
                        continue
                    batch = batches.next_batch()
                    if batch.is_transactional and not batch.is_control_batch:
                        found[partition] = int(batch.producer_id), int(batch.max_timestamp) * 1_000
        return found
    finally:
        await client.close()
