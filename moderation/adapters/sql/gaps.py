"""What stands between the ledger and its topic, and taking it on: recorded, by a person's word, in one transaction."""

from __future__ import annotations

from uuid import UUID

from moderation.adapters.sql.connection import Connection
from moderation.errors import TopicRefused
from moderation.offsets import LedgerPositions, TopicChanges


def read_positions(connection: Connection, topic: str) -> LedgerPositions:
    """Read where the ledger stands. To be read before the topic: a worker may move on between the two."""
    rows = connection.execute(
        "SELECT topic_id, partition, next FROM speed.source_offsets WHERE topic = %s ORDER BY 1, 2", (topic,)
    ).fetchall()
    found: dict[UUID, dict[int, int]] = {}
    for topic_id, partition, following in rows:
        found.setdefault(topic_id, {})[partition] = following
    return LedgerPositions(topic, found)


def accept(
    connection: Connection, topic: str, topic_id: UUID, accepted: TopicChanges, *, reason: str, now_us: int
) -> None:
    """Record gaps and move the partitions past them, or take a topic made anew on; all of it or nothing.

    Args:
        connection: to the ledger's database.
        topic: full name.
        topic_id: Kafka's id of the topic.
        accepted: what :func:`find_topic_changes` found.
        reason: kept with each gap.
        now_us: kept as the time of acceptance.

    Raises:
        TopicRefused: a worker, or somebody else, moved a partition meanwhile; nothing was changed.
    """
    # In the order of partitions, like the workers: nobody waits in a circle.
    with connection.transaction():
        for gap in accepted.gaps:
            moved = connection.execute(
                "UPDATE speed.source_offsets SET next = %s WHERE topic_id = %s AND partition = %s AND next = %s",
                (gap.next_offset, topic_id, gap.partition, gap.first_offset),
            )
            _require_one(moved.rowcount, topic, gap.partition, f"it no longer stands at {gap.first_offset}")
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
            _require_one(made.rowcount, topic, partition, "it was taken on by somebody else")


def _require_one(count: int, topic: str, partition: int, cause: str) -> None:
    if count != 1:
        raise TopicRefused(
            f"topic {topic} partition {partition}",
            f"{cause}; nothing was changed",
            "Look again with `moderation accept-gap`.",
        )
