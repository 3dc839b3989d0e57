"""Does the ledger hold every record exactly once? Asked with plain clients: nothing here is shared with the worker.

Kafka is read to its end with an ordinary consumer, PostgreSQL with ordinary SQL, and both are compared with what the
producer was told on delivery. A record's identity is worked out again from its raw bytes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

Place = tuple[int, int]
_IDLE_SECONDS = 30.0
_POLL_SECONDS = 0.2  # consume() waits this long for a full thousand


@dataclass(frozen=True, slots=True)
class Delivered:
    """What the brokers confirmed to the producer: where a record lies, and the SHA-256 of its value (hexadecimal)."""

    partition: int
    offset: int
    value_sha256: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the comparison found; all but ``records``, ``decisions`` and ``dead_letters`` must be 0.

    Attributes:
        records: records of the topic.
        decisions, dead_letters: rows of the ledger.
        lost: records without a row.
        doubled: rows beyond one for a record, whether by place or between the two tables.
        phantom: rows without a record.
        altered: decisions whose record id is not the record's.
        undelivered: confirmed deliveries that the topic does not hold with those bytes.
    """

    records: int
    decisions: int
    dead_letters: int
    lost: int
    doubled: int
    phantom: int
    altered: int
    undelivered: int

    @property
    def is_exact(self) -> bool:
        """True when every record has exactly one row, and every row its record."""
        return not (self.lost or self.doubled or self.phantom or self.altered or self.undelivered)


def verify(
    bootstrap: str, topic: str, database_url: str, topic_id: str, delivered: Iterable[Delivered] = ()
) -> Comparison:
    """Compare a topic, the ledger and the delivery reports.

    Args:
        bootstrap: addresses of brokers.
        topic: full name of the source topic.
        database_url: libpq URL of the ledger.
        topic_id: the topic's id as the ledger writes it, a UUID.
        delivered: delivery reports of the producer.

    Raises:
        TimeoutError: the topic cannot be read to its end.
    """
    values = read_topic(bootstrap, topic)
    with psycopg.connect(database_url) as connection:
        decisions = connection.execute(
            'SELECT partition, "offset", record_id FROM speed.decisions WHERE topic_id = %s', (topic_id,)
        ).fetchall()
        letters = connection.execute(
            'SELECT partition, "offset" FROM speed.dead_letters WHERE topic_id = %s', (topic_id,)
        ).fetchall()
    rows = Counter([(row[0], row[1]) for row in decisions] + [(row[0], row[1]) for row in letters])
    altered = sum(
        (row[0], row[1]) in values and _record_id(values[row[0], row[1]]) != bytes(row[2]) for row in decisions
    )
    undelivered = sum(
        hashlib.sha256(values.get((report.partition, report.offset), b"")).hexdigest() != report.value_sha256
        for report in delivered
    )
    return Comparison(
        records=len(values),
        decisions=len(decisions),
        dead_letters=len(letters),
        lost=len(values.keys() - rows.keys()),
        doubled=sum(count - 1 for count in rows.values()),
        phantom=len(rows.keys() - values.keys()),
        altered=altered,
        undelivered=undelivered,
    )


def read_topic(bootstrap: str, topic: str) -> dict[Place, bytes]:
    """The values of a topic by place; see :func:`read_messages`."""
    return {place: value for place, value, _ in read_messages(bootstrap, topic)}


def read_messages(bootstrap: str, topic: str) -> Iterator[tuple[Place, bytes, int]]:
    """Read a topic from its beginning to where it ended when this was called.

    Yields:
        Partition and offset, the value, and the record's time in milliseconds since the epoch.

    Raises:
        TimeoutError: nothing came for 30 s before the end was reached.
    """
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "verify", "enable.auto.commit": False, "log_level": 4}
    )
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        ends = {}
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
            if high > low:
                ends[partition] = high
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in ends])
        heard = time.monotonic()
        reached: dict[int, int] = dict.fromkeys(ends, 0)
        while any(reached[partition] < end for partition, end in ends.items()):
            messages = consumer.consume(1_000, timeout=_POLL_SECONDS)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > _IDLE_SECONDS:
                raise TimeoutError(f"topic {topic} gave nothing for {_IDLE_SECONDS} s before its end")
            for message in messages:
                if message.error() is not None:
                    raise TimeoutError(f"topic {topic}: {message.error()}")
                partition, offset = message.partition(), message.offset()
                if partition is None or offset is None:
                    continue
                reached[partition] = offset + 1
                if offset < ends[partition]:
                    yield (partition, offset), message.value() or b"", message.timestamp()[1]
    finally:
        consumer.close()


def _record_id(value: bytes) -> bytes:
    fields = json.loads(value)
    identity = f"{fields['comment_id']}\0{fields['event_time_us']}\0{fields['body']}"
    return hashlib.sha256(identity.encode()).digest()
