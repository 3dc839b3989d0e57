"""Frozen days: ledger rows of them were dropped, so they keep the results of their last run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from moderation.adapters.sql.connection import Connection

# The stream's panes count each comment of the day, in time or late. Those that the last run did not know are in the
# ledger at or above the end that it saw; copies are in no pane.
_FREEZE = """
INSERT INTO batch.frozen_days (topic, day, frozen_us, reason, decided)
SELECT %(topic)s, %(day)s, %(now)s, %(reason)s,
       (SELECT coalesce(sum(p.comments + p.late), 0) FROM speed.panes p
         WHERE p.topic_id IN (SELECT topic_id FROM speed.source_offsets WHERE topic = %(topic)s)
           AND p.start_us >= b.start_us AND p.start_us < b.start_us + 86400000000)
     - (SELECT count(*) FROM speed.decisions d
         WHERE d.topic_id IN (SELECT topic_id FROM speed.source_offsets WHERE topic = %(topic)s)
           AND d.event_time_us >= b.start_us AND d.event_time_us < b.start_us + 86400000000
           AND d.fate <> 'duplicate'
           AND d."offset" >= coalesce((b.cut->(d.topic_id::text)->(d.partition::text)->>'next')::bigint, 0))
  FROM (SELECT cut, (day - DATE '1970-01-01')::bigint * 86400000000 AS start_us FROM batch.runs
         WHERE topic = %(topic)s AND day = %(day)s ORDER BY revision DESC LIMIT 1) b
ON CONFLICT (topic, day) DO NOTHING
"""
# A day's partition always exists while it has rows, or DEFAULT has them. A table that exists and is empty was not
# dropped: its rows were deleted, and they are lost.
_DROPPED = """
SELECT DISTINCT f.dt FROM batch.files f
  JOIN speed.source_offsets o ON o.topic_id = f.topic_id AND o.partition = f.partition AND o.next >= f.next_offset
 WHERE f.topic = %(topic)s AND %(day)s = ANY(f.event_days)
   AND to_regclass('speed.decisions_' || to_char(f.dt, 'YYYYMMDD')) IS NULL
   AND NOT EXISTS (SELECT FROM speed.decisions d WHERE d.append_day = f.dt)
 ORDER BY 1
"""
_LATE = """
SELECT day, late_after FROM serving.day_states WHERE topic = %s AND day = ANY(%s) AND late_after > 0 ORDER BY day DESC
"""


@dataclass(frozen=True, slots=True)
class FrozenDay:
    """A day that is not recomputed.

    Attributes:
        reason: why.
        late_after: comments of the day that the stream decided since its last run.
    """

    reason: str
    late_after: int


def freeze_day(connection: Connection, topic: str, day: date, reason: str, now_us: int) -> None:
    """Freeze a day that has a run. Idempotent: the first reason stays.

    Args:
        connection: to the ledger's database.
        topic: full name.
        day: UTC day of event time.
        reason: stored with the day.
        now_us: the present time, microseconds since the epoch.
    """
    connection.execute(_FREEZE, {"topic": topic, "day": day, "now": now_us, "reason": reason})


def frozen_day(connection: Connection, topic: str, day: date) -> FrozenDay | None:
    """Read whether a day is frozen; None if it is not."""
    row = connection.execute(
        "SELECT frozen_reason, late_after FROM serving.day_states "
        "WHERE topic = %s AND day = %s AND frozen_us IS NOT NULL",
        (topic, day),
    ).fetchone()
    return None if row is None else FrozenDay(*row)


def dropped_append_days(connection: Connection, topic: str, day: date) -> list[date]:
    """Return append days with decided records of a day whose partition does not exist, in order.

    Args:
        connection: to the ledger's database.
        topic: full name.
        day: UTC day of event time.
    """
    return [append_day for (append_day,) in connection.execute(_DROPPED, {"topic": topic, "day": day})]


def late_for_frozen_days(connection: Connection, topic: str, days: Sequence[date]) -> list[tuple[date, int]]:
    """Count the comments of frozen days that came after their last runs; days without one are left out, newest first.

    Args:
        connection: to the ledger's database.
        topic: full name.
        days: frozen days.
    """
    return [(day, late) for day, late in connection.execute(_LATE, (topic, list(days)))]
