"""Dead letters of topic ``actions``, stored by the archive; their bytes are in the lake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple
from uuid import UUID

from moderation.adapters.sql.connection import Connection
from moderation.contracts import Action, DeadLetterReason
from moderation.errors import InvalidRecord
from moderation.offsets import TopicPartition

_FIELDS = frozenset(each.name for each in fields(Action))
_CHOSEN = """
  FROM batch.action_dead_letters
 WHERE topic = %(topic)s AND (%(reason)s::text IS NULL OR reason = %(reason)s)
   AND (%(partition)s::int IS NULL OR partition = %(partition)s)
"""
_NEWEST = f"""
SELECT topic_id, partition, "offset", append_us, reason, field, detail {_CHOSEN}
 ORDER BY append_us DESC, topic_id, partition, "offset" DESC LIMIT %(limit)s
"""
_BY_FIELD = f"SELECT reason, field, count(*) {_CHOSEN} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"


@dataclass(frozen=True, slots=True)
class ActionLetter:
    """A record of topic ``actions`` that cannot be parsed; its text is not stored.

    Attributes:
        offset: offset of the record.
        append_us: append time in microseconds since the epoch.
        reason: a ``DeadLetterReason``.
        field: invalid field; empty if the reason concerns the whole record.
        detail: the error, without text of the record.
    """

    offset: int
    append_us: int
    reason: DeadLetterReason
    field: str
    detail: str

    @classmethod
    def of(cls, offset: int, append_us: int, error: InvalidRecord) -> ActionLetter:
        """Create the dead letter of a refused record."""
        first = error.cause.split(" ", 1)[0]
        field = first if first in _FIELDS else ""
        return cls(offset, append_us, DeadLetterReason(error.reason), field, error.cause)


class StoredActionLetter(NamedTuple):
    """A dead letter of an action and its position."""

    topic_id: UUID
    partition: int
    letter: ActionLetter


@dataclass(frozen=True, slots=True)
class ActionSelection:
    """Filter of dead letters of actions; None matches everything.

    Attributes:
        topic: full name, under every id of the topic.
        reason: a ``DeadLetterReason``.
        partition: partition of the record.
    """

    topic: str
    reason: str | None = None
    partition: int | None = None

    def parameters(self) -> dict[str, object]:
        """The parameters of the SQL statements."""
        return {"topic": self.topic, "reason": self.reason, "partition": self.partition}


def add_action_letters(
    connection: Connection, topic_partition: TopicPartition, letters: Sequence[ActionLetter], archived_us: int
) -> None:
    """Store dead letters, in the transaction that adds their file to the manifest. Idempotent."""
    with connection.cursor() as cursor:
        cursor.executemany(
            'INSERT INTO batch.action_dead_letters (topic_id, partition, "offset", topic, append_us, reason, field, '
            "detail, archived_us) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (
                    topic_partition.topic_id,
                    topic_partition.partition,
                    letter.offset,
                    topic_partition.topic,
                    letter.append_us,
                    letter.reason,
                    letter.field,
                    letter.detail,
                    archived_us,
                )
                for letter in letters
            ],
        )


def newest_action_letters(connection: Connection, selection: ActionSelection, limit: int) -> list[StoredActionLetter]:
    """Read the selected letters, newest first, at most ``limit``."""
    rows = connection.execute(_NEWEST, {**selection.parameters(), "limit": limit})
    return [
        StoredActionLetter(
            topic_id, partition, ActionLetter(offset, append_us, DeadLetterReason(reason), field, detail)
        )
        for topic_id, partition, offset, append_us, reason, field, detail in rows
    ]


def count_action_letters(connection: Connection, selection: ActionSelection) -> list[tuple[str, str, int]]:
    """Count the selected letters by reason and field, the most frequent first."""
    rows = connection.execute(_BY_FIELD, selection.parameters()).fetchall()
    return [(reason, field, int(letters)) for reason, field, letters in rows]
