"""``moderation skip``: put a record that crashes workers into quarantine without deciding it."""

from __future__ import annotations

from uuid import UUID

from moderation.adapters.sql.connection import Connection
from moderation.contracts import DeadLetter
from moderation.errors import TopicRefused


def next_offset(connection: Connection, topic_id: UUID, partition: int) -> int | None:
    """Read the next offset of a partition in the ledger; None if no worker has read the partition."""
    row = connection.execute(
        "SELECT next FROM speed.source_offsets WHERE topic_id = %s AND partition = %s", (topic_id, partition)
    ).fetchone()
    return None if row is None else int(row[0])


def skip(connection: Connection, topic: str, topic_id: UUID, partition: int, offset: int, letter: DeadLetter) -> None:
    """Store the next record of a partition as a dead letter, in one transaction with the fence of workers.

    Args:
        connection: to the ledger's database.
        topic: full name.
        topic_id: Kafka's id of the topic.
        partition: partition of the record.
        offset: offset of the record, which must be the next offset of the ledger.
        letter: the dead letter.

    Raises:
        TopicRefused: this is not the next offset of the ledger, or the ledger has no position of the partition; nothing
            was changed.
    """
    with connection.transaction():
        moved = connection.execute(
            "UPDATE speed.source_offsets SET next = %s WHERE topic_id = %s AND partition = %s AND next = %s",
            (offset + 1, topic_id, partition, offset),
        )
        if moved.rowcount != 1:
            raise _refused(topic, partition, offset, next_offset(connection, topic_id, partition))
        connection.execute(
            'INSERT INTO speed.dead_letters (topic_id, partition, "offset", append_us, reason, detail, raw, '
            "raw_length, raw_sha256) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                topic_id,
                partition,
                offset,
                letter.append_us,
                letter.reason.value,
                letter.detail,
                letter.raw,
                letter.raw_length,
                letter.raw_sha256,
            ),
        )


def _refused(topic: str, partition: int, offset: int, expected: int | None) -> TopicRefused:
    thing = f"topic {topic} partition {partition}"
    if expected is None:
        return TopicRefused(
            thing,
            "no worker has read this partition yet, so the ledger has no position to move; nothing was changed",
            "Start a worker: it stores the position when it gets the partition. If the topic was re-created, "
            "`moderation accept-gap` shows it.",
        )
    if expected > offset:
        return TopicRefused(
            thing,
            f"offset {offset} is accounted for already, the ledger expects offset {expected} next; nothing was changed",
            "A worker has decided it meanwhile, or it was skipped before: nothing to do for this record.",
        )
    return TopicRefused(
        thing,
        f"the ledger expects offset {expected} next, not {offset}; nothing was changed",
        f"Only the next record can be skipped: `moderation skip {partition} {expected}`, if that one ends the worker.",
    )
