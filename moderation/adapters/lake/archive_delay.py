"""Compare the archive with the topics: how soon retention may delete records that are not in the lake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import IsolationLevel, TopicCollection
from confluent_kafka.admin import AdminClient

from moderation.adapters.kafka.batch_headers import read_batch_headers
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.end_offsets import ends_of, log_starts
from moderation.adapters.kafka.log_sizes import log_sizes
from moderation.adapters.kafka.topics import retention, topic_uuid
from moderation.adapters.lake.manifest import read_archived_end
from moderation.adapters.sql.connection import Connection
from moderation.offsets import TopicPartition

NEAR_RATIO = 0.75
"""Share of the retention at which the alert for unarchived records fires."""
_REQUEST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ArchiveDelay:
    """Unarchived records of a partition, and the age of the oldest.

    Attributes:
        topic_partition: the partition.
        next_offset: first offset that the topic still has and that is not archived.
        waiting: number of offsets from there to the end of the log.
        append_us: append time of the oldest unarchived record, microseconds since the epoch; None without one.
        retention_ms: retention time, in milliseconds; None without a limit.
        held: number of offsets in the log.
        fill_ratio: size of the log as a share of the retention size; None without a limit. If the brokers do not
            report the size, 1 once records were deleted, else None.
    """

    topic_partition: TopicPartition
    next_offset: int
    waiting: int
    append_us: int | None
    retention_ms: int | None
    held: int = 0
    fill_ratio: float | None = None

    def seconds_left(self, now_us: int) -> float | None:
        """Seconds until the broker may delete the oldest unarchived record; negative if it may have done so already.

        None if all records are archived or do not expire. The broker deletes whole segments, so a record may be kept
        longer.
        """
        if self.append_us is None or self.retention_ms is None:
            return None
        return (self.append_us - now_us) / 1e6 + self.retention_ms / 1e3

    def used_ratio(self, now_us: int) -> float:
        """Used share of the retention: at 1 the broker may delete the record; 0 if nothing waits or expires.

        The larger of the record's age as a share of the retention time, and :attr:`used_ratio_by_size`.
        """
        if self.append_us is None:
            return 0.0
        by_time = 0.0
        if self.retention_ms is not None:
            by_time = max(0.0, (now_us - self.append_us) / 1e3 / max(1, self.retention_ms))
        return max(by_time, self.used_ratio_by_size)

    @property
    def used_ratio_by_size(self) -> float:
        """Size of the unarchived records as a share of the retention size; 0 without a limit.

        Assumes records of equal size.
        """
        return 0.0 if self.fill_ratio is None else self.fill_ratio * self.waiting / max(1, self.held)


def archive_delays(kafka: KafkaConnection, connection: Connection, topics: Sequence[str]) -> list[ArchiveDelay]:
    """Compare each partition with the manifest; topics that do not exist are left out.

    Args:
        kafka: the connection.
        connection: to the manifest's database.
        topics: full names.

    Raises:
        KafkaException: the brokers do not answer.
        aiokafka.errors.KafkaError: the brokers refuse the request.
        psycopg.Error: the database does not answer, or has no manifest.
    """
    client = AdminClient(kafka.librdkafka({"log_level": 2}))
    existing = client.list_topics(timeout=_REQUEST_SECONDS).topics
    return [
        delay
        for topic in topics
        if topic in existing
        for delay in _delays_of(kafka, client, connection, topic, sorted(existing[topic].partitions))
    ]


def _delays_of(
    kafka: KafkaConnection, client: AdminClient, connection: Connection, topic: str, partitions: list[int]
) -> list[ArchiveDelay]:
    described = client.describe_topics(TopicCollection([topic]), request_timeout=_REQUEST_SECONDS)
    topic_id = topic_uuid(str(described[topic].result().topic_id))
    limits = retention(kafka, topic)
    starts = log_starts(client, topic, partitions)
    # Include open transactions: their records cannot be archived yet, but their age counts.
    ends = ends_of(client, topic, partitions, IsolationLevel.READ_UNCOMMITTED)
    nexts = {
        p: max(read_archived_end(connection, TopicPartition(topic, topic_id, p)) or 0, starts[p]) for p in partitions
    }
    sizes = log_sizes(kafka, topic, partitions) if limits.size_bytes is not None else {}
    firsts = read_batch_headers(kafka, topic, {p: nexts[p] for p in partitions if nexts[p] < ends[p]})
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
