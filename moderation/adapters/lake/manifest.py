"""The manifest ``batch.files``: the files of the lake, and the offsets that are in no file.

An exclusion constraint of PostgreSQL refuses two files of a partition with overlapping ranges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from moderation.adapters.lake.files import LakeFile
from moderation.adapters.sql.advisory_locks import advisory_lock
from moderation.adapters.sql.connection import Connection
from moderation.contracts import Hole, Rules
from moderation.offsets import Range, TopicPartition
from moderation.watermark import Candidate, RunningMaximum

_COLUMNS = (
    "path, topic, topic_id, partition, first_offset, next_offset, dt, rows, bytes, sha256, "
    "min_append_us, max_append_us, min_event_time_us, max_event_time_us, event_days, "
    "rules_version, earliest_event_us, maximum_before, maximum_after"
)


class RangeTaken(Exception):
    """The manifest already has a file with some of these offsets; nothing was changed. The archive handles this."""


@dataclass(frozen=True, slots=True)
class PartitionExtent:
    """Extent of the archived files of a partition.

    Attributes:
        topic_partition: the partition.
        first_offset: first offset of its first file.
        next_offset: end of its last file.
        files: number of files.
        rows: rows of all files.
        bytes: bytes of all files.
        missing: offsets between files that are in no file.
    """

    topic_partition: TopicPartition
    first_offset: int
    next_offset: int
    files: int
    rows: int
    bytes: int
    missing: tuple[Range, ...]


@contextmanager
def partition_lock(connection: Connection, topic_partition: TopicPartition) -> Iterator[str | None]:
    """Lock a partition against other archivers while the block runs.

    Yields:
        None if the lock was acquired; else a description of the holder.
    """
    key = int.from_bytes(
        hashlib.sha256(f"archive {topic_partition.topic_id} {topic_partition.partition}".encode()).digest()[:8], "big"
    )
    with advisory_lock(connection, key - (1 << 64) if key >= 1 << 63 else key) as holder:
        yield holder


def read_archived_end(connection: Connection, topic_partition: TopicPartition) -> int | None:
    """Read the end of the archive: one after the last offset in a file or a hole; None if nothing is archived."""
    end = _one(
        connection,
        "SELECT greatest((SELECT max(next_offset) FROM batch.files WHERE topic_id = %s AND partition = %s), "
        "(SELECT next_offset FROM batch.holes WHERE topic_id = %s AND partition = %s "
        "ORDER BY first_offset DESC LIMIT 1))",
        topic_partition.topic_id,
        topic_partition.partition,
        topic_partition.topic_id,
        topic_partition.partition,
    )
    return None if end is None else int(end)


def note_read_to_end(
    connection: Connection, topic_partition: TopicPartition, next_offset: int, read_to_end_us: int
) -> None:
    """Store that the archive reached the end that a log had at a broker time; an earlier time changes nothing."""
    connection.execute(
        "INSERT INTO batch.archive_reads AS reads (topic_id, partition, topic, next_offset, read_to_end_us) "
        "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (topic_id, partition) DO UPDATE "
        "SET next_offset = excluded.next_offset, read_to_end_us = excluded.read_to_end_us "
        "WHERE reads.read_to_end_us < excluded.read_to_end_us",
        (topic_partition.topic_id, topic_partition.partition, topic_partition.topic, next_offset, read_to_end_us),
    )


def reads_to_end(connection: Connection, topic: str) -> dict[TopicPartition, int]:
    """Read up to which broker time the archive has read each partition of a topic to its end, in microseconds."""
    rows = connection.execute(
        "SELECT topic_id, partition, read_to_end_us FROM batch.archive_reads WHERE topic = %s", (topic,)
    )
    return {TopicPartition(topic, topic_id, partition): read_us for topic_id, partition, read_us in rows}


def accepted_gaps(connection: Connection, topic_partition: TopicPartition) -> list[Range]:
    """Read the gaps that an operator accepted, for the archive or for the speed layer, in order."""
    rows = connection.execute(
        "SELECT first_offset, next_offset FROM batch.gaps WHERE topic_id = %(t)s AND partition = %(p)s UNION "
        "SELECT first_offset, next_offset FROM speed.gaps WHERE topic_id = %(t)s AND partition = %(p)s ORDER BY 1, 2",
        {"t": topic_partition.topic_id, "p": topic_partition.partition},
    )
    return [(first, end) for first, end in rows]


def gaps_and_holes(connection: Connection, topic_partition: TopicPartition, within: Range) -> list[Range]:
    """Read the offsets that are not expected in files, in order: accepted gaps, and holes of the log.

    Args:
        connection: to the manifest's database.
        topic_partition: the partition.
        within: range of offsets; holes outside of it are left out.
    """
    rows = connection.execute(
        "SELECT first_offset, next_offset FROM batch.holes WHERE topic_id = %s AND partition = %s "
        "AND first_offset < %s AND next_offset > %s",
        (topic_partition.topic_id, topic_partition.partition, within[1], within[0]),
    )
    return sorted([*accepted_gaps(connection, topic_partition), *((first, end) for first, end in rows)])


def add_holes(connection: Connection, topic_partition: TopicPartition, holes: Sequence[Hole]) -> None:
    """Store holes, inside files and between them. Idempotent."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO batch.holes (topic_id, partition, first_offset, next_offset, kind, append_us, cause) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (
                    topic_partition.topic_id,
                    topic_partition.partition,
                    hole.first,
                    hole.next,
                    hole.kind,
                    hole.append_us,
                    hole.cause,
                )
                for hole in holes
            ],
        )


def find_unarchived(connection: Connection, topic: str, topic_id: UUID) -> list[tuple[TopicPartition, Range]]:
    """Return the offsets of former topics of a name that were decided and never archived, in order.

    Nobody can archive them any more, because their topic is gone.

    Args:
        connection: to the manifest's database.
        topic: full name.
        topic_id: Kafka's present id of the topic.
    """
    ends = archived_ends(connection, topic)
    rows = connection.execute(
        'SELECT topic_id, partition, "first", next FROM speed.source_offsets WHERE topic = %s AND topic_id <> %s '
        "ORDER BY 1, 2",
        (topic, topic_id),
    )
    ranges = {
        (source := TopicPartition(topic, former_id, partition)): (ends.get(source, int(first)), int(next_offset))
        for former_id, partition, first, next_offset in rows
    }
    return [(source, (first, end)) for source, (first, end) in ranges.items() if first < end]


def holes_inside(connection: Connection, paths: Sequence[str]) -> dict[str, int]:
    """Count the offsets without a record inside the given files, by path."""
    rows = connection.execute(
        "SELECT f.path, sum(least(h.next_offset, f.next_offset) - greatest(h.first_offset, f.first_offset)) "
        "FROM batch.files f JOIN batch.holes h ON h.topic_id = f.topic_id AND h.partition = f.partition "
        "AND h.first_offset < f.next_offset AND h.next_offset > f.first_offset WHERE f.path = ANY(%s) GROUP BY 1",
        (list(paths),),
    )
    return {path: int(count) for path, count in rows}


def archived_ends(connection: Connection, topic: str) -> dict[TopicPartition, int]:
    """For each source of a topic one after the last offset that is in a file, a hole or an accepted gap."""
    rows = connection.execute(
        "SELECT s.topic_id, s.partition, greatest(s.next_offset, (SELECT h.next_offset FROM batch.holes h "
        "WHERE h.topic_id = s.topic_id AND h.partition = s.partition ORDER BY h.first_offset DESC LIMIT 1), "
        "(SELECT max(g.next_offset) FROM batch.gaps g WHERE g.topic_id = s.topic_id AND g.partition = s.partition)) "
        "FROM (SELECT topic_id, partition, max(next_offset) AS next_offset FROM "
        "(SELECT topic_id, partition, next_offset FROM batch.files WHERE topic = %(t)s UNION ALL "
        "SELECT topic_id, partition, NULL FROM speed.source_offsets WHERE topic = %(t)s) known GROUP BY 1, 2) s",
        {"t": topic},
    )
    return {
        TopicPartition(topic, topic_id, partition): int(end) for topic_id, partition, end in rows if end is not None
    }


def add_file(connection: Connection, file: LakeFile, created_us: int) -> None:
    """Add a file to the manifest, in one transaction.

    Raises:
        RangeTaken: the manifest already has a file with some of its offsets.
    """
    topic_partition = file.topic_partition
    values = (
        file.path,
        topic_partition.topic,
        topic_partition.topic_id,
        topic_partition.partition,
        file.first_offset,
        file.next_offset,
        file.day,
    )
    figures = (file.rows, file.bytes, file.sha256, file.min_append_us, file.max_append_us)
    days = None if file.event_days is None else list(file.event_days)
    rules = (file.rules.version, file.rules.earliest_event_us)
    maxima = (_json(file.maximum_before), _json(file.maximum_after))
    times = (file.min_event_time_us, file.max_event_time_us, days, *rules, *maxima, created_us)
    marks = ", ".join(["%s"] * (len(values) + len(figures) + len(times)))
    try:
        with connection.transaction():
            connection.execute(
                f"INSERT INTO batch.files ({_COLUMNS}, created_us) VALUES ({marks})",  # noqa: S608 - fixed names
                (*values, *figures, *times),
            )
    except (psycopg.errors.ExclusionViolation, psycopg.errors.UniqueViolation) as error:
        raise RangeTaken(file.path) from error


def has_file(connection: Connection, path: str) -> bool:
    """Whether the manifest names this path."""
    return bool(_one(connection, "SELECT EXISTS (SELECT FROM batch.files WHERE path = %s)", path))


def accept_gap(
    connection: Connection, topic_partition: TopicPartition, gap: Range, *, reason: str, now_us: int
) -> None:
    """Store an accepted gap of the lake; the archive continues after it. Idempotent."""
    connection.execute(
        "INSERT INTO batch.gaps (topic_id, partition, first_offset, next_offset, topic, accepted_us, reason) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (topic_id, partition, first_offset) DO UPDATE "
        "SET next_offset = greatest(gaps.next_offset, excluded.next_offset)",
        (topic_partition.topic_id, topic_partition.partition, *gap, topic_partition.topic, now_us, reason),
    )


def files(
    connection: Connection,
    *,
    topic: str | None = None,
    topic_id: UUID | None = None,
    partition: int | None = None,
    day: date | None = None,
    since: date | None = None,
    overlapping: Range | None = None,
    without: Mapping[TopicPartition, int] | None = None,
) -> list[LakeFile]:
    """Read the files of the lake in order of topic, id, partition and offset; every given argument filters them.

    Args:
        connection: to the manifest's database.
        topic: full name.
        topic_id: Kafka's id of the topic.
        partition: partition number.
        day: UTC day of append time.
        since: first UTC day of append time.
        overlapping: range of offsets.
        without: by partition, the offset before which files are left out.
    """
    first, end = overlapping or (None, None)
    skipped = list((without or {}).items())
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM batch.files "  # noqa: S608 - fixed names
        "WHERE (%(topic)s::text IS NULL OR topic = %(topic)s) AND (%(id)s::uuid IS NULL OR topic_id = %(id)s) "
        "AND (%(partition)s::int IS NULL OR partition = %(partition)s) AND (%(day)s::date IS NULL OR dt = %(day)s) "
        "AND (%(first)s::bigint IS NULL OR (next_offset > %(first)s AND first_offset < %(next)s)) "
        "AND (%(since)s::date IS NULL OR dt >= %(since)s) AND NOT EXISTS (SELECT FROM "
        "unnest(%(ids)s::uuid[], %(partitions)s::int[], %(ends)s::bigint[]) s (id, p, upto) "
        "WHERE s.id = topic_id AND s.p = partition AND first_offset < s.upto) "
        "ORDER BY topic, topic_id, partition, first_offset",
        {
            **{"topic": topic, "id": topic_id, "partition": partition, "day": day, "first": first, "next": end},
            "since": since,
            "ids": [source.topic_id for source, _ in skipped],
            "partitions": [source.partition for source, _ in skipped],
            "ends": [upto for _, upto in skipped],
        },
    )
    return [_file(*row) for row in rows]


def _file(path: str, topic: str, topic_id: UUID, partition: int, *rest: Any) -> LakeFile:
    *fields, event_days, rules_version, earliest_event_us, before, after = rest
    fields += [None if event_days is None else tuple(event_days), Rules(rules_version, earliest_event_us)]
    fields += [maximum_of(before), maximum_of(after)]
    return LakeFile(path, TopicPartition(topic, topic_id, partition), *fields)


def _json(maximum: RunningMaximum | None) -> Jsonb | None:
    return None if maximum is None else Jsonb([maximum.newest_event_us, *(maximum.candidate or (None, None))])


def maximum_of(stored: list[Any] | None) -> RunningMaximum | None:
    """Return a stored running maximum of event times; None for null."""
    if stored is None:
        return None
    newest_us, *candidate = stored
    return RunningMaximum(newest_us, None if candidate[0] is None else Candidate(*candidate))


def maximum_at_end(connection: Connection, topic_partition: TopicPartition) -> RunningMaximum:
    """Read the running maximum of event times after the last archived file of a partition.

    If the last file has none, it is the largest event time of all files.
    """
    row = connection.execute(
        "SELECT l.maximum_after, CASE WHEN l.maximum_after IS NULL THEN (SELECT max(max_event_time_us) "
        "FROM batch.files WHERE topic_id = %(id)s AND partition = %(partition)s) END "
        "FROM (SELECT maximum_after FROM batch.files WHERE topic_id = %(id)s AND partition = %(partition)s "
        "ORDER BY next_offset DESC LIMIT 1) l",
        {"id": topic_partition.topic_id, "partition": topic_partition.partition},
    ).fetchone()
    after, newest_us = row or (None, None)
    return maximum_of(after) or RunningMaximum(newest_us)


def partition_extents(manifest: list[LakeFile]) -> list[PartitionExtent]:
    """Summarise the files of each partition.

    Args:
        manifest: the result of :func:`files`.
    """
    by_partition: dict[TopicPartition, list[LakeFile]] = {}
    for file in manifest:
        by_partition.setdefault(file.topic_partition, []).append(file)
    return [
        PartitionExtent(
            topic_partition,
            partition_files[0].first_offset,
            partition_files[-1].next_offset,
            len(partition_files),
            sum(file.rows for file in partition_files),
            sum(file.bytes for file in partition_files),
            tuple(
                (before.next_offset, after.first_offset)
                for before, after in pairwise(partition_files)
                if before.next_offset != after.first_offset
            ),
        )
        for topic_partition, partition_files in by_partition.items()
    ]


def _one(connection: Connection, statement: str, *values: object) -> Any:
    row = connection.execute(statement, values).fetchone()
    return None if row is None else row[0]
