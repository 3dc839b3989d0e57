"""Query dead letters: by reason, by position, and those that are not replayed yet."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, fields
from typing import NamedTuple
from uuid import UUID

from moderation.adapters.sql.connection import Connection
from moderation.contracts import Comment, DeadLetter, DeadLetterReason
from moderation.dead_letters import StoredLetter
from moderation.errors import ConfigurationError

_PAGE_ROWS = 100

_CHOSEN = """
  FROM speed.dead_letters d
 WHERE d.topic_id IN (SELECT o.topic_id FROM speed.source_offsets o WHERE o.topic = %(topic)s)
   AND (%(topic_id)s::uuid IS NULL OR d.topic_id = %(topic_id)s)
   AND (%(reason)s::text IS NULL OR d.reason = %(reason)s)
   AND (%(partition)s::int IS NULL OR d.partition = %(partition)s)
   AND (%(offset)s::bigint IS NULL OR d."offset" = %(offset)s)
   AND NOT (%(only_open)s AND d.replayed_as_offset IS NOT NULL)
"""
_LETTERS = f"""
SELECT d.topic_id, d.partition, d."offset", d.reason, d.detail, d.raw, d.raw_length, d.raw_sha256, d.append_us,
       d.replayed_as_partition, d.replayed_as_offset {_CHOSEN}
"""
_OLDEST_FIRST = ' ORDER BY d.append_us, d.topic_id, d.partition, d."offset"'
_NEWEST_FIRST = ' ORDER BY d.append_us DESC, d.topic_id, d.partition, d."offset" DESC LIMIT %(limit)s'
_FIELD = """
CASE WHEN d.reason = 'unknown_field' THEN substr(d.detail, length('unknown field ') + 1)
     WHEN split_part(d.detail, ' ', 1) = ANY(%(fields)s) THEN split_part(d.detail, ' ', 1) ELSE '' END
"""
_BY_FIELD = f"""
SELECT d.reason, {_FIELD} AS field, count(*) {_CHOSEN} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %(limit)s
"""
_POSITIONS = f'SELECT d.topic_id, d.partition, d."offset", d.reason, {_FIELD} {_CHOSEN}'
_FIELDS = [each.name for each in fields(Comment)]
_BY_REASON = f"SELECT d.reason, count(*) {_CHOSEN} GROUP BY d.reason ORDER BY count(*) DESC, d.reason"


@dataclass(frozen=True, slots=True)
class Selection:
    """Filter of dead letters; None matches everything.

    Attributes:
        topic: full name of the source topic, under every id of the topic.
        reason: a ``DeadLetterReason``.
        partition: partition of the record.
        offset: offset of the record.
        topic_id: topic id of the record.
        only_open: exclude letters whose replay was decided.
    """

    topic: str
    reason: str | None = None
    partition: int | None = None
    offset: int | None = None
    topic_id: UUID | None = None
    only_open: bool = False

    def parameters(self) -> dict[str, object]:
        """The parameters of the SQL statements."""
        return {
            "topic": self.topic,
            "reason": self.reason,
            "partition": self.partition,
            "offset": self.offset,
            "topic_id": self.topic_id,
            "only_open": self.only_open,
        }


def count_by_reason(connection: Connection, selection: Selection) -> dict[str, int]:
    """Count the selected letters by reason, the most frequent first."""
    rows = connection.execute(_BY_REASON, selection.parameters()).fetchall()
    return dict(rows)


class LetterPosition(NamedTuple):
    """Position and reason of a dead letter, and the invalid field; empty if the whole record is invalid."""

    topic_id: UUID
    partition: int
    offset: int
    reason: str
    field: str


def count_by_field(connection: Connection, selection: Selection, limit: int) -> list[tuple[str, str, int]]:
    """Count the selected letters by reason and field, the most frequent first, at most ``limit`` rows.

    The field is empty if the whole record is invalid. The name of an unknown field is quoted.
    """
    parameters = {**selection.parameters(), "fields": _FIELDS, "limit": limit}
    rows = connection.execute(_BY_FIELD, parameters).fetchall()
    return [(reason, field, int(letters)) for reason, field, letters in rows]


def newest_positions(connection: Connection, selection: Selection, limit: int) -> list[LetterPosition]:
    """Read the positions of the newest selected letters, at most ``limit``."""
    parameters = {**selection.parameters(), "fields": _FIELDS, "limit": limit}
    return [LetterPosition(*row) for row in connection.execute(_POSITIONS + _NEWEST_FIRST, parameters)]


def newest(connection: Connection, selection: Selection, limit: int) -> list[StoredLetter]:
    """Read the selected letters, newest first, at most ``limit``."""
    rows = connection.execute(_LETTERS + _NEWEST_FIRST, {**selection.parameters(), "limit": limit})
    return [_stored(*row) for row in rows]


def oldest_first(connection: Connection, selection: Selection) -> Generator[StoredLetter]:
    """Yield the selected letters in order of append times, from one snapshot and in pages.

    Close the generator: its transaction is open until then.
    """
    with connection.transaction(), connection.cursor(name="dead_letters") as cursor:
        cursor.itersize = _PAGE_ROWS
        cursor.execute(_LETTERS + _OLDEST_FIRST, selection.parameters())
        for row in cursor:
            yield _stored(*row)


def one(connection: Connection, topic: str, partition: int, offset: int, topic_id: UUID | None) -> StoredLetter:
    """Read the dead letter at a position.

    Raises:
        ConfigurationError: there is none, or the topic was re-created and both topics have one at this position.
    """
    selection = Selection(topic, partition=partition, offset=offset, topic_id=topic_id)
    letters = newest(connection, selection, 2)
    position = f"topic {topic} partition {partition} offset {offset}"
    if not letters:
        raise ConfigurationError(
            position, "there is no dead letter", "`moderation dead-letters list` shows existing ones."
        )
    if len(letters) > 1:
        ids = " and ".join(str(each.topic_id) for each in letters)
        raise ConfigurationError(position, f"the topics {ids} both have a dead letter there", "Choose with --topic-id.")
    return letters[0]


def _stored(
    topic_id: UUID,
    partition: int,
    offset: int,
    reason: str,
    detail: str,
    raw: bytes,
    raw_length: int,
    raw_sha256: str,
    append_us: int,
    as_partition: int | None,
    as_offset: int | None,
) -> StoredLetter:
    letter = DeadLetter(DeadLetterReason(reason), detail, bytes(raw), raw_length, raw_sha256, append_us)
    replayed_as = None if as_partition is None or as_offset is None else (as_partition, as_offset)
    return StoredLetter(topic_id, partition, offset, letter, replayed_as)
