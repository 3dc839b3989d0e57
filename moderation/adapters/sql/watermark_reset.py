"""``moderation reset-watermark``: set the running maximum of a partition to an event time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from moderation.adapters.sql.connection import Connection
from moderation.errors import TopicRefused
from moderation.offsets import TopicPartition
from moderation.panes import watermark_us
from moderation.watermark import Reset


@dataclass(frozen=True, slots=True)
class RecordedReset:
    """A stored reset.

    Attributes:
        offset: first offset decided after the reset.
        newest_event_us: running maximum at that offset.
        previous_event_us: running maximum before the reset; None if the partition had none.
    """

    offset: int
    newest_event_us: int
    previous_event_us: int | None

    def fields(self) -> dict[str, int | None]:
        """The fields of its JSON object."""
        return asdict(self)


def reset_watermark(
    connection: Connection,
    topic_partition: TopicPartition,
    time_at: Callable[[int], int],
    *,
    reason: str,
    now_us: int,
) -> RecordedReset:
    """Store a reset at the next offset of the ledger, in one transaction that locks the partition.

    A worker with an undecided batch of the partition fails at its fence; its next start reads the running maximum and
    the record ids of open panes again.

    Args:
        connection: to the ledger's database.
        topic_partition: the partition.
        time_at: returns the new running maximum in microseconds for the next offset of the ledger. Workers wait
            meanwhile.
        reason: stored with the reset.
        now_us: stored as its time.

    Raises:
        TopicRefused: no worker has read the partition; nothing was changed.
    """
    with connection.transaction():
        row = connection.execute(
            "SELECT next, newest_event_us FROM speed.source_offsets WHERE topic_id = %s AND partition = %s FOR UPDATE",
            (topic_partition.topic_id, topic_partition.partition),
        ).fetchone()
        if row is None:
            raise TopicRefused(
                str(topic_partition),
                "no worker has read this partition yet, so it has no watermark; nothing was changed",
                "Start a worker: it stores the position when it gets the partition.",
            )
        offset, previous_us = row
        newest_us = time_at(offset)
        # Reopened panes are published again once they close.
        connection.execute(
            "UPDATE speed.source_offsets SET newest_event_us = %s, candidate_event_us = NULL, "
            "candidate_comment_id = NULL, panes_published_us = least(panes_published_us, %s) "
            "WHERE topic_id = %s AND partition = %s",
            (newest_us, watermark_us(newest_us), topic_partition.topic_id, topic_partition.partition),
        )
        connection.execute(
            'INSERT INTO speed.watermark_resets (topic_id, partition, "offset", reset_us, newest_event_us, '
            "previous_event_us, reason) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (topic_partition.topic_id, topic_partition.partition, offset, now_us, newest_us, previous_us, reason),
        )
    return RecordedReset(offset, newest_us, previous_us)


def read_resets(connection: Connection, topic: str, topic_ids: Sequence[UUID]) -> dict[TopicPartition, list[Reset]]:
    """Read the resets of the partitions of a topic, in order of offsets; of several at one offset the last."""
    resets: dict[TopicPartition, list[Reset]] = {}
    for topic_id, partition, offset, newest_us in connection.execute(
        'SELECT DISTINCT ON (topic_id, partition, "offset") topic_id, partition, "offset", newest_event_us '
        "FROM speed.watermark_resets WHERE topic_id = ANY(%s) "
        'ORDER BY topic_id, partition, "offset", reset_us DESC',
        (list(topic_ids),),
    ):
        resets.setdefault(TopicPartition(topic, topic_id, partition), []).append(Reset(offset, newest_us))
    return resets
