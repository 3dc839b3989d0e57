"""Accept gaps and re-created topics on an operator's command, in one transaction."""

from __future__ import annotations

from uuid import UUID

from moderation.adapters.sql.connection import Connection
from moderation.errors import TopicRefused
from moderation.offsets import LedgerPositions, TopicChanges


def read_positions(connection: Connection, topic: str) -> LedgerPositions:
    """Read the positions of the ledger. Call it before reading the topic, because a worker may advance in between."""
    rows = connection.execute(
        "SELECT topic_id, partition, next FROM speed.source_offsets WHERE topic = %s ORDER BY 1, 2", (topic,)
    ).fetchall()
    positions: dict[UUID, dict[int, int]] = {}
    for topic_id, partition, next_offset in rows:
        positions.setdefault(topic_id, {})[partition] = next_offset
    return LedgerPositions(topic, positions)


def accept(
    connection: Connection, topic: str, topic_id: UUID, accepted: TopicChanges, *, reason: str, now_us: int
) -> None:
    """Store gaps and move the partitions past them, or adopt a re-created topic; atomic.

    Args:
        connection: to the ledger's database.
        topic: full name.
        topic_id: Kafka's id of the topic.
        accepted: the result of :func:`moderation.offsets.find_topic_changes`.
        reason: stored with each gap.
        now_us: stored as the time of acceptance.

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


def _require_one(count: int, topic: str, partition: int, cause: str) -> None:
    if count != 1:
        raise TopicRefused(
            f"topic {topic} partition {partition}",
            f"{cause}; nothing was changed",
            "Run `moderation accept-gap` again.",
        )
