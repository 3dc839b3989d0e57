"""Read topics with plain clients; shares only the settings of the connection with the worker."""

from __future__ import annotations

import time
from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from moderation.adapters.kafka.connection import KafkaConnection

Position = tuple[int, int]
_IDLE_SECONDS = 30.0
_COMMITTED = {"isolation.level": "read_committed", "enable.partition.eof": True}
_POLL_SECONDS = 0.2  # longest time that consume() waits for 1,000 messages


def read_topic(kafka: KafkaConnection, topic: str) -> dict[Position, bytes]:
    """Return the values of a topic by position; see :func:`read_messages`."""
    return {position: value for position, value, _ in read_messages(kafka, topic)}


def read_messages(kafka: KafkaConnection, topic: str) -> Iterator[tuple[Position, bytes, int]]:
    """Read the committed records of a topic from its beginning to its last stable offset when this was called.

    Yields:
        Partition and offset, the value, and the record's time in milliseconds since the epoch.

    Raises:
        TimeoutError: nothing came for 30 s before the end was reached.
    """
    return ((position, value, time_ms) for position, _, value, time_ms in _read(kafka, topic))


def read_keyed(kafka: KafkaConnection, topic: str) -> Iterator[tuple[Position, bytes, bytes]]:
    """Read like :func:`read_messages`, but yield position, key and value."""
    return ((position, key, value) for position, key, value, _ in _read(kafka, topic))


def _read(kafka: KafkaConnection, topic: str) -> Iterator[tuple[Position, bytes, bytes, int]]:
    own = {"group.id": "oracle", "enable.auto.commit": False, "log_level": 4, **_COMMITTED}
    consumer = Consumer(kafka.librdkafka(own))
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        ends = {}
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
            if high > low:
                ends[partition] = high
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in ends])
        last_message = time.monotonic()
        reached: dict[int, int] = dict.fromkeys(ends, 0)
        while any(reached[partition] < end for partition, end in ends.items()):
            messages = consumer.consume(1_000, timeout=_POLL_SECONDS)
            if messages:
                last_message = time.monotonic()
            elif time.monotonic() - last_message > _IDLE_SECONDS:
                raise TimeoutError(f"topic {topic} gave nothing for {_IDLE_SECONDS} s before its end")
            for message in messages:
                partition, offset, error = message.partition(), message.offset(), message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise TimeoutError(f"topic {topic}: {error}")
                if partition is None or offset is None:
                    continue
                if error is not None:
                    # After the last record there may be offsets without a record.
                    reached[partition] = max(reached[partition], offset)
                    continue
                reached[partition] = offset + 1
                if offset < ends[partition]:
                    yield (partition, offset), _bytes(message.key()), _bytes(message.value()), message.timestamp()[1]
    finally:
        consumer.close()


def log_ranges(kafka: KafkaConnection, topic: str) -> dict[int, tuple[int, int]]:
    """Return first offset and last stable offset of every partition of a topic."""
    consumer = Consumer(kafka.librdkafka({"group.id": "oracle", "log_level": 4, **_COMMITTED}))
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        return {
            partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
            for partition in partitions
        }
    finally:
        consumer.close()


def _bytes(value: bytes | str | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
