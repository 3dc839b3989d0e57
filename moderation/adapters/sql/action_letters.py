"""Dead letters of topic ``actions``: what the archive could not read. Their bytes are in the lake."""

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
    """A record of topic ``actions`` that cannot be an action; nothing of its text is kept here.

    Attributes:
        offset: its place in the partition.
        append_us: append time in microseconds since the epoch.
        reason: a ``DeadLetterReason``.
        field: at fault; empty where the reason is about the whole record.
        detail: what is wrong, without the record's text.
    """

    offset: int
    append_us: int
    reason: DeadLetterReason
    field: str
    detail: str

    @classmethod
    def of(cls, offset: int, append_us: int, error: InvalidRecord) -> ActionLetter:
        """The dead letter of a record that was refused with an error."""
        first = error.cause.split(" ", 1)[0]
        field = first if first in _FIELDS else ""
        return cls(offset, append_us, DeadLetterReason(error.reason), field, error.cause)


class StoredActionLetter(NamedTuple):
    """An action's dead letter and where the record is."""

    topic_id: UUID
    partition: int
    letter: ActionLetter


@dataclass(frozen=True, slots=True)
class ActionSelection:
    """Which dead letters of actions; what is None does not matter.

    Attributes:
        topic: full name; its letters count under every id it had.
        reason: a ``DeadLetterReason``.
        partition: of the record.
    """

    topic: str
    reason: str | None = None
    partition: int | None = None

    def parameters(self) -> dict[str, object]:
        """The selection as the statements take it."""
        return {"topic": self.topic, "reason": self.reason, "partition": self.partition}


def add_action_letters(
    connection: Connection, topic_partition: TopicPartition, letters: Sequence[ActionLetter], archived_us: int
) -> None:
    """Store dead letters, in the transaction that makes their file part of the lake. Harmless to repeat."""
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
    """The chosen letters, newest first, at most ``limit``."""
    rows = connection.execute(_NEWEST, {**selection.parameters(), "limit": limit})
    return [
        StoredActionLetter(
            topic_id, partition, ActionLetter(offset, append_us, DeadLetterReason(reason), field, detail)
        )
        for topic_id, partition, offset, append_us, reason, field, detail in rows
    ]


def count_action_letters(connection: Connection, selection: ActionSelection) -> list[tuple[str, str, int]]:
    """Reason, field and number of the chosen letters, the most frequent first."""
    rows = connection.execute(_BY_FIELD, selection.parameters()).fetchall()
    return [(reason, field, int(letters)) for reason, field, letters in rows]
