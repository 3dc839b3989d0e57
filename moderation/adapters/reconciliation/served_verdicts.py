"""Export the verdicts of the ledger on comments of a range of event time, in one snapshot."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from moderation.adapters.reconciliation.snapshot import export_rows
from moderation.adapters.sql.connection import connected
from moderation.timestamps import day_of

_RANGES = 'SELECT topic_id::text, partition, "first", next FROM speed.source_offsets WHERE topic = %s'
_VERDICTS = """
SELECT topic_id::text AS topic_id, partition AS part, "offset" AS pos, verdict, inclusion_ppm, drawn_from
  FROM speed.decisions
 WHERE topic_id = ANY('{{{topics}}}'::uuid[]) AND append_day >= '{first_append_day}'::date
   AND event_time_us >= {start_us} AND event_time_us < {end_us}
"""


class DecidedRange(NamedTuple):
    """Offsets [first, next) of a partition that the ledger accounts for; ``topic_id`` is Kafka's id, as text."""

    topic_id: str
    partition: int
    first: int
    next: int


def export_verdicts(url: str, topic: str, bounds_us: tuple[int, int], folder: Path) -> list[DecidedRange]:
    """Write the verdicts on comments of a range of event time to a Parquet file, in batches of bounded size.

    The file has the columns ``topic_id, part, pos, verdict, inclusion_ppm, drawn_from``.

    Args:
        url: a libpq connection string.
        topic: full name.
        bounds_us: start and end of the range of event times, half-open.
        folder: receives the file ``0.parquet``.

    Returns:
        The offsets that the ledger accounts for, of every topic id and partition of the topic.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
        LedgerUnsafe: its tables are missing.
    """
    start_us, end_us = bounds_us
    with connected(url, name="moderation verdicts") as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        ranges = [DecidedRange(*row) for row in connection.execute(_RANGES, (topic,))]
        query = _VERDICTS.format(
            topics=",".join(sorted({each.topic_id for each in ranges})),
            # No event time is more than five minutes after the append time, so earlier append days have no such rows.
            first_append_day=day_of(start_us) - timedelta(days=1),
            start_us=start_us,
            end_us=end_us,
        )
        export_rows(connection, url, query, folder)
    return ranges
