"""How close retention is to records that are not in the lake yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import IsolationLevel, TopicCollection
from confluent_kafka.admin import AdminClient

from moderation.adapters.kafka.batch_headers import read_batch_headers
from moderation.adapters.kafka.end_offsets import ends_of, log_starts
from moderation.adapters.kafka.log_sizes import log_sizes
from moderation.adapters.kafka.topics import retention, topic_uuid
from moderation.adapters.lake.manifest import read_archived_end
from moderation.adapters.sql.connection import Connection
from moderation.offsets import TopicPartition

NEAR_RATIO = 0.75
"""From this share of the retention on, records that are not archived are in danger: the alert fires."""
_REQUEST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ArchiveDelay:
    """The oldest record of a partition that is not in the lake.

    Attributes:
        topic_partition: the partition.
        next_offset: first offset that is not archived and that the topic still has.
        waiting: offsets from there to the end of the log.
        append_us: append time of the first of them, microseconds since the epoch; None if none waits.
        retention_ms: how long the brokers keep records, in milliseconds; None without a limit.
        held: offsets that the topic has.
        fill_ratio: size of the log as a share of the topic's limit by size; None without a limit. Where the brokers do
            not give the size, 1 once records were deleted, else None.
    """

    topic_partition: TopicPartition
    next_offset: int
    waiting: int
    append_us: int | None
    retention_ms: int | None
    held: int = 0
    fill_ratio: float | None = None

    def seconds_left(self, now_us: int) -> float | None:
        """Until the broker may delete the record, at least; negative if it may have. None if nothing waits or expires.

        The broker deletes whole segments, so a record may be kept longer.
        """
        if self.append_us is None or self.retention_ms is None:
            return None
        return (self.append_us - now_us) / 1e6 + self.retention_ms / 1e3

    def used_ratio(self, now_us: int) -> float:
        """How much of the retention is used up: at 1 the broker may delete the record; 0 if nothing waits or expires.

        The larger of two shares: the record's age of the retention by time, and :attr:`used_ratio_by_size`.
        """
        if self.append_us is None:
            return 0.0
        by_time = 0.0
        if self.retention_ms is not None:
            by_time = max(0.0, (now_us - self.append_us) / 1e3 / max(1, self.retention_ms))
        return max(by_time, self.used_ratio_by_size)

    @property
    def used_ratio_by_size(self) -> float:
        """Size of the records that wait, as a share of the limit by size; 0 without a limit.

        The records are taken to be of equal size.
        """
        return 0.0 if self.fill_ratio is None else self.fill_ratio * self.waiting / max(1, self.held)


def archive_delays(bootstrap: str, connection: Connection, topics: Sequence[str]) -> list[ArchiveDelay]:
    """Compare each partition with the manifest. A topic that does not exist has none.

    Args:
        bootstrap: addresses of brokers.
        connection: to the manifest's database.
        topics: full names.

    Raises:
        KafkaException: the brokers do not answer.
        aiokafka.errors.KafkaError: they refuse.
        psycopg.Error: the database does not answer, or has no manifest.
    """
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    existing = client.list_topics(timeout=_REQUEST_SECONDS).topics
    return [
        delay
        for topic in topics
        if topic in existing
        for delay in _delays_of(bootstrap, client, connection, topic, sorted(existing[topic].partitions))
    ]


def _delays_of(
    bootstrap: str, client: AdminClient, connection: Connection, topic: str, partitions: list[int]
) -> list[ArchiveDelay]:
    described = client.describe_topics(TopicCollection([topic]), request_timeout=_REQUEST_SECONDS)
    topic_id = topic_uuid(str(described[topic].result().topic_id))
    limits = retention(bootstrap, topic)
    starts = log_starts(client, topic, partitions)
    # Open transactions count: their records cannot be archived, and grow older.
    ends = ends_of(client, topic, partitions, IsolationLevel.READ_UNCOMMITTED)
    nexts = {
        p: max(read_archived_end(connection, TopicPartition(topic, topic_id, p)) or 0, starts[p]) for p in partitions
    }
    sizes = log_sizes(bootstrap, topic, partitions) if limits.size_bytes is not None else {}
    firsts = read_batch_headers(bootstrap, topic, {p: nexts[p] for p in partitions if nexts[p] < ends[p]})
    return [
        ArchiveDelay(
            TopicPartition(topic, topic_id, p),
            nexts[p],
            max(0, ends[p] - nexts[p]),
            firsts[p].append_us if p in firsts else None,
            limits.ms,
            ends[p] - starts[p],
            _fill_ratio(limits.size_bytes, sizes.get(p), has_deleted=starts[p] > 0),
        )
        for p in partitions
    ]


def _fill_ratio(limit_bytes: int | None, size_bytes: int | None, *, has_deleted: bool) -> float | None:
    if limit_bytes is None:
        return None
    if size_bytes is None:
        return 1.0 if has_deleted else None
    return size_bytes / max(1, limit_bytes)
