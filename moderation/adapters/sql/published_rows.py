"""Stream ledger rows for republishing, in a fixed order and selected by range."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from moderation.adapters.sql.connection import Connection
from moderation.adapters.sql.ledger_reads import decision_of
from moderation.contracts import MAX_OFFSET, Pane
from moderation.ledger import DecisionRow, Versions
from moderation.panes import PANE_US, watermark_us
from moderation.timestamps import DAY_US, day_start_us

_PAGE_ROWS = 1_000
_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(9999, 12, 31)

_SOURCES = """
SELECT topic_id, partition, next, newest_event_us FROM speed.source_offsets
 WHERE topic = %s AND (%s::int IS NULL OR partition = %s) ORDER BY topic_id, partition
"""
_DECISIONS = """
SELECT partition, "offset", append_us, comment_id, community, event_time_us, record_id, score_ppm,
       verdict, fate, reasons, repairs, inclusion_ppm, drawn_from, model_version, policy_version, kernel_version
  FROM speed.decisions
 WHERE topic_id = %(topic_id)s AND partition = %(partition)s AND "offset" >= %(first)s AND "offset" < %(next)s
   AND append_day >= %(first_day)s AND append_day <= %(last_day)s
   AND (NOT %(alerts_only)s OR verdict <> 'allow')
 ORDER BY "offset"
"""
_PANES = """
SELECT partition, community, start_us, model_version, policy_version, comments, reviews, removals, score_sum
  FROM speed.panes
 WHERE topic_id = %(topic_id)s AND partition = %(partition)s AND comments > 0
   AND start_us >= %(first_us)s AND start_us <= %(last_us)s
 ORDER BY start_us, community, model_version, policy_version
"""

# The next decision may be days later: a partition can be quiet for a day.
_OFFSETS = """
SELECT d.topic_id, d.partition, min(d."offset") FILTER (WHERE d.append_day = %(day)s) AS first,
       coalesce(min(d."offset") FILTER (WHERE d.append_day > %(day)s), max(o.next))
  FROM speed.decisions d JOIN speed.source_offsets o USING (topic_id, partition)
 WHERE o.topic = %(topic)s AND d.append_day >= %(day)s
 GROUP BY 1, 2 HAVING count(*) FILTER (WHERE d.append_day = %(day)s) > 0
"""
# Append days whose decisions are gone; a partition exists while its day has rows, or DEFAULT has them.
_DROPPED_DAYS = """
SELECT dt FROM (SELECT DISTINCT dt FROM batch.files WHERE topic = %s) days
 WHERE EXISTS (SELECT FROM speed.retired_days r WHERE r.append_day = dt)
    OR (to_regclass('speed.decisions_' || to_char(dt, 'YYYYMMDD')) IS NULL
        AND NOT EXISTS (SELECT FROM speed.decisions d WHERE d.append_day = dt))
"""
# The file of the lake with an offset has its append day.
_DROPPED = """
SELECT w.topic_id::text, w.partition, w."offset"
  FROM unnest(%s::uuid[], %s::int[], %s::bigint[]) AS w(topic_id, partition, "offset")
  JOIN speed.source_offsets o ON o.topic_id = w.topic_id AND o.partition = w.partition AND w."offset" < o.next
 CROSS JOIN LATERAL (
       SELECT f.first_offset, f.dt FROM batch.files f
        WHERE f.topic_id = w.topic_id AND f.partition = w.partition AND f.next_offset > w."offset"
        ORDER BY f.next_offset LIMIT 1) f
 WHERE f.first_offset <= w."offset" AND f.dt = ANY(%s)
"""
Place = tuple[str, int, int]
"""Topic id, partition and offset of the source."""


@dataclass(frozen=True, slots=True)
class SourcePartition:
    """A partition of the source topic.

    Attributes:
        topic_id: Kafka's id of the topic; the topic may have been re-created since.
        partition: its partition.
        next: end of the ledger.
        newest_event_us: largest event time; None before the first comment.
    """

    topic_id: UUID
    partition: int
    next: int
    newest_event_us: int | None


@dataclass(frozen=True, slots=True)
class RowSelection:
    """Filter of rows; a bound of None does not apply.

    Attributes:
        partition: partition of the source topic.
        offsets: half-open range of offsets of the source topic; not for panes.
        first_day, last_day: both inclusive, UTC: append days of decisions, days of event time of panes.
    """

    partition: int | None = None
    offsets: tuple[int, int] | None = None
    first_day: date | None = None
    last_day: date | None = None


def source_partitions(connection: Connection, topic: str, partition: int | None) -> list[SourcePartition]:
    """Read the partitions of a source topic in the ledger, in order of topic id and partition."""
    rows = connection.execute(_SOURCES, (topic, partition, partition)).fetchall()
    return [SourcePartition(*row) for row in rows]


def decisions(
    connection: Connection, source: SourcePartition, chosen: RowSelection, *, first: int, alerts_only: bool
) -> Generator[tuple[DecisionRow, Versions]]:
    """Yield decisions in order of offsets, read in pages. Close the generator: its transaction is open until then.

    Args:
        connection: to the ledger.
        source: the partition.
        chosen: filter of rows.
        first: first offset to read.
        alerts_only: exclude decisions with verdict ``allow``.
    """
    lower, upper = chosen.offsets or (0, MAX_OFFSET)
    parameters = {
        "topic_id": source.topic_id,
        "partition": source.partition,
        "first": max(lower, first),
        "next": min(upper, source.next),
        "first_day": chosen.first_day or _FIRST_DAY,
        "last_day": chosen.last_day or _LAST_DAY,
        "alerts_only": alerts_only,
    }
    with connection.transaction(), connection.cursor(name="decisions") as cursor:
        cursor.itersize = _PAGE_ROWS
        cursor.execute(_DECISIONS, parameters)
        for row in cursor:
            yield decision_of(row[:14]), Versions(*row[14:])


def panes(
    connection: Connection, topic: str, source: SourcePartition, chosen: RowSelection, *, first_us: int
) -> Generator[Pane]:
    """Yield closed panes in order of their starts, read in pages. Close the generator, see :func:`decisions`.

    Args:
        connection: to the ledger.
        topic: full name of the source topic.
        source: the partition; its watermark determines which panes are closed.
        chosen: filter of rows.
        first_us: earliest start to read.
    """
    if source.newest_event_us is None:
        return
    last_us = watermark_us(source.newest_event_us) - PANE_US
    if chosen.last_day is not None:
        last_us = min(last_us, day_start_us(chosen.last_day) + DAY_US - 1)
    if chosen.first_day is not None:
        first_us = max(first_us, day_start_us(chosen.first_day))
    parameters = {"topic_id": source.topic_id, "partition": source.partition, "first_us": first_us, "last_us": last_us}
    with connection.transaction(), connection.cursor(name="panes") as cursor:
        cursor.itersize = _PAGE_ROWS
        cursor.execute(_PANES, parameters)
        for partition, community, start_us, *rest in cursor:
            end_us = start_us + PANE_US
            yield Pane(topic, str(source.topic_id), partition, community, start_us, end_us, *rest)


@dataclass(frozen=True, slots=True)
class PublishedBounds:
    """What is published of a partition of the source topic.

    Attributes:
        published_next: decisions below this offset are published.
        panes_published_us: panes that end at or before this are published; None if none is.
    """

    published_next: int
    panes_published_us: int | None

    def has_published_pane(self, start_us: int) -> bool:
        """Whether the panes with this start are published."""
        return self.panes_published_us is not None and start_us + PANE_US <= self.panes_published_us


def published_bounds(connection: Connection, topic: str) -> dict[tuple[UUID, int], PublishedBounds]:
    """Read what is published of a source topic, by topic id and partition."""
    rows = connection.execute(
        "SELECT topic_id, partition, published_next, panes_published_us FROM speed.source_offsets WHERE topic = %s "
        "ORDER BY topic_id, partition",
        (topic,),
    )
    return {(topic_id, partition): PublishedBounds(*bounds) for topic_id, partition, *bounds in rows}


def offsets_of_day(connection: Connection, topic: str, day: date) -> dict[tuple[str, int], tuple[int, int]]:
    """Read the offsets of the decisions that were appended on a day, by topic id (as text) and partition.

    Returns:
        Half-open ranges up to the first decision of a later day; without one up to the end of the ledger.
    """
    rows = connection.execute(_OFFSETS, {"topic": topic, "day": day}).fetchall()
    return {(str(topic_id), partition): (first, end) for topic_id, partition, first, end in rows}


def dropped_append_days(connection: Connection, topic: str) -> list[date]:
    """Read the append days of a source topic whose decisions were retired, or dropped with their partition."""
    return [day for (day,) in connection.execute(_DROPPED_DAYS, (topic,))]


def dropped_places(connection: Connection, places: Sequence[Place], days: Sequence[date]) -> list[Place]:
    """Return those of the given places below the end of the ledger that the lake has under one of the append days.

    Args:
        connection: to the ledger's database.
        places: in any order.
        days: see :func:`dropped_append_days`.
    """
    topic_ids, partitions, offsets = (list(values) for values in zip(*places, strict=True))
    return connection.execute(_DROPPED, (topic_ids, partitions, offsets, list(days))).fetchall()
