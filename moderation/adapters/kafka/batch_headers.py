"""Read headers of record batches (producer, append time), including those of open transactions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.event_loop import run
from moderation.adapters.kafka.record_batches import Batches

_REQUEST_SECONDS = 5.0
_FETCH_BYTES = 64 * 1024
"""Enough for a header; the broker sends at least one whole batch."""


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """Fields of the header of a record batch.

    Attributes:
        append_us: append time, microseconds since the epoch.
        producer_id: Kafka's number of the producer; -1 for one without idempotence.
        is_transactional: whether it is part of a transaction.
        is_control: whether it is the marker that ends a transaction.
    """

    append_us: int
    producer_id: int
    is_transactional: bool
    is_control: bool


def read_batch_headers(kafka: KafkaConnection, topic: str, offsets: Mapping[int, int]) -> dict[int, BatchHeader]:
    """Read the header of the batch at or after an offset, by partition; partitions that cannot be read are left out.

    Args:
        kafka: the connection.
        topic: full name, of a topic with append times of the broker.
        offsets: one for each partition, below the log end.

    Raises:
        aiokafka.errors.KafkaError: the brokers do not answer, or refuse.
    """
    return run(_read_batch_headers(kafka, topic, offsets)) if offsets else {}


async def _read_batch_headers(kafka: KafkaConnection, topic: str, offsets: Mapping[int, int]) -> dict[int, BatchHeader]:
    client = AIOKafkaClient(request_timeout_ms=round(_REQUEST_SECONDS * 1_000), **kafka.aiokafka())
    try:
        await client.bootstrap()
        await client.set_topics([topic])
        headers = {}
        for partition, offset in offsets.items():
            leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
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
                    headers[partition] = BatchHeader(
                        int(batch.max_timestamp) * 1_000,
                        int(batch.producer_id),
                        bool(batch.is_transactional),
                        bool(batch.is_control_batch),
                    )
        return headers
    finally:
        await client.close()
