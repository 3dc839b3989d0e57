"""Accept gaps and re-created topics on an operator's command, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from moderation.adapters.sql.connection import Connection
from moderation.errors import TopicRefused
from moderation.offsets import FormerGap, LedgerPositions, TopicChanges

_UNDECIDED = """
SELECT a.topic_id, a.partition, coalesce(o.next, a.first_offset), a.next_offset
  FROM (SELECT topic_id, partition, min(first_offset) AS first_offset, max(next_offset) AS next_offset
          FROM batch.files WHERE topic = %(topic)s AND topic_id <> %(topic_id)s GROUP BY 1, 2) a
  LEFT JOIN speed.source_offsets o ON o.topic_id = a.topic_id AND o.partition = a.partition
 WHERE a.next_offset > coalesce(o.next, a.first_offset) ORDER BY 1, 2
"""


def read_positions(connection: Connection, topic: str) -> LedgerPositions:
    """Read the positions of the ledger. Call it before reading the topic, because a worker may advance in between."""
    rows = connection.execute(
        "SELECT topic_id, partition, next FROM speed.source_offsets WHERE topic = %s ORDER BY 1, 2", (topic,)
    ).fetchall()
    positions: dict[UUID, dict[int, int]] = {}
    for topic_id, partition, next_offset in rows:
        positions.setdefault(topic_id, {})[partition] = next_offset
    return LedgerPositions(topic, positions)


def find_undecided(connection: Connection, topic: str, topic_id: UUID) -> list[FormerGap]:
    """Return the offsets of former topics of a name that are in the lake and were never decided, in order.

    Nobody can decide them any more, because their topic is gone.

    Args:
        connection: to the ledger's database.
        topic: full name.
        topic_id: Kafka's present id of the topic.
    """
    rows = connection.execute(_UNDECIDED, {"topic": topic, "topic_id": topic_id})
    return [FormerGap(*row) for row in rows]


def accept(
    connection: Connection,
    topic: str,
    topic_id: UUID,
    accepted: TopicChanges,
    *,
    reason: str,
    now_us: int,
    undecided: Sequence[FormerGap] = (),
) -> None:
    """Store gaps and move the partitions past them, or adopt a re-created topic; atomic.

    Args:
        connection: to the ledger's database.
        topic: full name.
        topic_id: Kafka's id of the topic.
        accepted: the result of :func:`moderation.offsets.find_topic_changes`.
        reason: stored with each gap.
        now_us: stored as the time of acceptance.
        undecided: the result of :func:`find_undecided`; the ledger then accounts for them as gaps.

    Raises:
        TopicRefused: a worker or another command moved a partition meanwhile; nothing was changed.
    """
    # In the order of partitions, like the workers, to avoid deadlocks.
    with connection.transaction():
        for gap in accepted.gaps:
            moved = connection.execute(
                "UPDATE speed.source_offsets SET next = %s WHERE topic_id = %s AND partition = %s AND next = %s",
                (gap.next_offset, topic_id, gap.partition, gap.first_offset),
            )
            _require_one(moved.rowcount, topic, gap.partition, f"it is no longer at offset {gap.first_offset}")
            connection.execute(
                "INSERT INTO speed.gaps (topic_id, partition, first_offset, next_offset, accepted_us, reason) "
                "VALUES (%s, %s, %s, %s, %s, %s)",
                (topic_id, gap.partition, gap.first_offset, gap.next_offset, now_us, reason),
            )
        for partition, first in sorted(accepted.new_partitions.items()):
            made = connection.execute(
                "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
                "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (topic_id, partition, topic, first, first, first),
            )
            _require_one(made.rowcount, topic, partition, "another command adopted it")
        for each in undecided:
            _accept_former(connection, topic, each, reason, now_us)


def _accept_former(connection: Connection, topic: str, gap: FormerGap, reason: str, now_us: int) -> None:
    # What was decided before the topic was re-created may still wait for its publication.
    moved = connection.execute(
        "INSERT INTO speed.source_offsets AS o (topic_id, partition, topic, first, next, published_next) "
        "VALUES (%(id)s, %(partition)s, %(topic)s, %(first)s, %(next)s, %(next)s) "
        "ON CONFLICT (topic_id, partition) DO UPDATE SET next = excluded.next, "
        "published_next = CASE WHEN o.published_next = o.next THEN excluded.next ELSE o.published_next END "
        "WHERE o.next = %(first)s",
        {
            "id": gap.topic_id,
            "partition": gap.partition,
            "topic": topic,
            "first": gap.first_offset,
            "next": gap.next_offset,
        },
    )
    _require_one(moved.rowcount, topic, gap.partition, f"its former id is no longer at offset {gap.first_offset}")
    connection.execute(
        "INSERT INTO speed.gaps (topic_id, partition, first_offset, next_offset, accepted_us, reason) "
        "VALUES (%s, %s, %s, %s, %s, %s)",
        (gap.topic_id, gap.partition, gap.first_offset, gap.next_offset, now_us, reason),
    )


def _require_one(count: int, topic: str, partition: int, cause: str) -> None:
    if count != 1:
        raise TopicRefused(
            f"topic {topic} partition {partition}",
            f"{cause}; nothing was changed",
            "Run `moderation accept-gap` again.",
        )
