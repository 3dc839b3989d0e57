"""Read positions, decisions and panes from the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg

from moderation import panes
from moderation.contracts import Fate, Pane, Repair, Rules, Verdict
from moderation.ledger import DecisionRow, Position, Versions
from moderation.panes import LATENESS_US, PANE_US, OpenPanes, pane_start_us
from moderation.watermark import Candidate, RunningMaximum

Cursor = psycopg.Cursor[tuple[Any, ...]]

_POSITIONS = """
SELECT o.partition, o.next, o.published_next, o.panes_published_us, o.read_to_end_us,
       o.newest_event_us, o.candidate_event_us, o.candidate_comment_id,
       (SELECT append_us FROM speed.decisions d
         WHERE (d.topic_id, d.partition, d."offset") = (o.topic_id, o.partition, o.next - 1)
         UNION ALL
        SELECT append_us FROM speed.dead_letters d
         WHERE (d.topic_id, d.partition, d."offset") = (o.topic_id, o.partition, o.next - 1) LIMIT 1),
       s.model_version, s.policy_version, s.kernel_version, s.override, s.model_digest,
       s.rules_version, s.earliest_event_us
  FROM speed.source_offsets o
  LEFT JOIN LATERAL (SELECT * FROM speed.served s WHERE (s.topic_id, s.partition) = (o.topic_id, o.partition)
                      ORDER BY from_offset DESC LIMIT 1) s ON true
 WHERE o.topic_id = %s AND o.partition = ANY(%s)
"""
_COUNTED = """
SELECT d.event_time_us, substring(d.record_id FOR 16) FROM speed.decisions d
 WHERE d.topic_id = %(topic_id)s AND d.partition = %(partition)s AND d.fate = 'counted'
   AND d.event_time_us >= %(open_from_us)s
   AND d."offset" >= (SELECT min(first_offset) FROM speed.panes
                       WHERE topic_id = %(topic_id)s AND partition = %(partition)s AND start_us >= %(open_from_us)s)
"""
_DECISIONS = """
SELECT partition, "offset", append_us, comment_id, community, event_time_us, record_id, score_ppm,
       verdict, fate, reasons, repairs, inclusion_ppm, drawn_from, model_version, policy_version, kernel_version
  FROM speed.decisions
 WHERE topic_id = %s AND partition = %s AND "offset" >= %s AND "offset" < %s ORDER BY "offset"
"""
_CLOSED_PANES = """
SELECT partition, community, start_us, model_version, policy_version, comments, reviews, removals, score_sum
  FROM speed.panes
 WHERE topic_id = %s AND partition = %s AND comments > 0 AND start_us > %s AND start_us <= %s
 ORDER BY start_us, community, model_version, policy_version
"""
_BEFORE_ALL_US = -(2**62)
_PAGE_ROWS = 20_000


def positions(cursor: Cursor, topic_id: UUID, partitions: list[int]) -> dict[int, Position]:
    """Read the positions of partitions, with the state that determines the fates of their next records."""
    cursor.execute(_POSITIONS, (topic_id, partitions))
    positions = {}
    for row in cursor.fetchall():
        partition, next_offset, published_next, panes_published_us, read_to_end_us = row[:5]
        maximum, last_append_us, served = row[5:8], row[8], row[9:]
        positions[partition] = Position(
            next=next_offset,
            published_next=published_next,
            panes_published_us=panes_published_us,
            versions=None if served[0] is None else Versions(*served[:5]),
            rules=None if served[0] is None else Rules(*served[5:]),
            open_panes=_open_panes(cursor, topic_id, partition, running_maximum(*maximum)),
            last_append_us=last_append_us,
            read_to_end_us=read_to_end_us,
        )
    return positions


def running_maximum(newest_us: int | None, candidate_us: int | None, candidate_id: str | None) -> RunningMaximum:
    """Build the running maximum from its three columns."""
    candidate = None if candidate_us is None or candidate_id is None else Candidate(candidate_us, candidate_id)
    return RunningMaximum(newest_us, candidate)


def maximum_columns(maximum: RunningMaximum) -> tuple[int | None, int | None, str | None]:
    """The three columns of a running maximum: newest event time, time and comment id of the candidate."""
    return maximum.newest_event_us, *(maximum.candidate or (None, None))


def closed_until_us(cursor: Cursor, topic_id: UUID) -> int | None:
    """Return the time up to which windows of a topic are closed; None without partitions."""
    cursor.execute("SELECT newest_event_us, read_to_end_us FROM speed.source_offsets WHERE topic_id = %s", (topic_id,))
    return min((panes.closed_until_us(*row) for row in cursor.fetchall()), default=None)


def decisions_between(
    cursor: psycopg.ServerCursor[tuple[Any, ...]], topic_id: UUID, partition: int, lo: int, hi: int
) -> Iterator[tuple[DecisionRow, Versions]]:
    """Yield stored decisions with offsets in [lo, hi) and their versions, in order."""
    cursor.execute(_DECISIONS, (topic_id, partition, lo, hi))
    for row in cursor:
        yield decision_of(row[:14]), Versions(*row[14:])


def decision_of(row: tuple[Any, ...]) -> DecisionRow:
    """Build a decision from its columns, in the order of the fields."""
    verdict, fate, reasons, repairs, inclusion_ppm, drawn_from = row[8:]
    drawn = None if drawn_from is None else Verdict(drawn_from)
    fields: list[Any] = [*row[:8], Verdict(verdict), Fate(fate), reasons, repairs_of(repairs), inclusion_ppm, drawn]
    return DecisionRow(*fields)


def repairs_of(stored: str | None) -> tuple[Repair, ...]:
    """Parse the column of repairs: separated by commas, null for none."""
    return tuple(map(Repair, stored.split(","))) if stored else ()


def closed_panes(
    cursor: Cursor, topic: str, topic_id: UUID, partition: int, after_us: int | None, upto_us: int
) -> list[Pane]:
    """Read panes that end in (after_us, upto_us], in order of their ends; from the first if ``after_us`` is None.

    With ``upto_us`` at or below the watermark of the partition, the panes do not change any more.
    """
    after_us = _BEFORE_ALL_US if after_us is None else after_us - PANE_US
    cursor.execute(_CLOSED_PANES, (topic_id, partition, after_us, upto_us - PANE_US))
    return [
        Pane(
            topic=topic,
            topic_id=str(topic_id),
            partition=row[0],
            community=row[1],
            start_us=row[2],
            end_us=row[2] + PANE_US,
            model_version=row[3],
            policy_version=row[4],
            comments=row[5],
            reviews=row[6],
            removals=row[7],
            score_sum=row[8],
        )
        for row in cursor.fetchall()
    ]


def _open_panes(cursor: Cursor, topic_id: UUID, partition: int, maximum: RunningMaximum) -> OpenPanes:
    if maximum.newest_event_us is None:
        return OpenPanes()
    # The first open pane is the first that ends after the watermark.
    open_from_us = pane_start_us(maximum.newest_event_us - LATENESS_US)
    # There may be millions of ids: read them in pages.
    with cursor.connection.cursor(name="open_panes") as pages:
        pages.itersize = _PAGE_ROWS
        pages.execute(_COUNTED, {"topic_id": topic_id, "partition": partition, "open_from_us": open_from_us})
        return OpenPanes(maximum, ((event_time_us, bytes(digest)) for event_time_us, digest in pages))
