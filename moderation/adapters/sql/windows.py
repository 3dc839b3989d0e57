"""Read tumbling windows from the serving view: the newest ones, or those of a time range."""

from __future__ import annotations

from typing import Any, LiteralString
from uuid import UUID

from moderation.adapters.sql.connection import connected

_NEWEST = """
SELECT community, start_us, end_us, comments, reviews, removals, score_sum, late, is_closed, is_reopened
  FROM serving.tumbling_windows WHERE topic_id = %s AND (%s::text IS NULL OR community = %s)
 ORDER BY start_us DESC, community LIMIT %s
"""
_BETWEEN = """
SELECT topic_id::text AS topic_id, community, start_us, comments, reviews, removals, score_sum, late, state, revision
  FROM serving.tumbling_windows WHERE topic = %s AND start_us >= %s AND start_us < %s
"""


def newest_windows(
    url: str, topic_id: UUID, community: str | None, most: int, *, seconds: float = 5.0
) -> list[dict[str, Any]]:
    """Read hourly windows, newest first, then by community.

    Args:
        url: a libpq connection string.
        topic_id: id of the source topic.
        community: filter by community; all if None.
        most: maximum number of windows.
        seconds: how long the query may take.

    Raises:
        DatabaseUnavailable: the database cannot be reached, or the query took too long.
    """
    return _rows(url, _NEWEST, (topic_id, community, community, most), seconds)


def windows_between(url: str, topic: str, start_us: int, end_us: int) -> list[dict[str, Any]]:
    """Read hourly windows that start in ``[start_us, end_us)``, of all communities, unordered.

    Args:
        url: a libpq connection string.
        topic: full name.
        start_us: start of the range, microseconds since the epoch.
        end_us: end of the range, exclusive.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    return _rows(url, _BETWEEN, (topic, start_us, end_us))


def _rows(
    url: str, query: LiteralString, values: tuple[object, ...], seconds: float | None = None
) -> list[dict[str, Any]]:
    with connected(url) as connection, connection.transaction(), connection.cursor() as cursor:
        if seconds is not None:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", (f"{round(seconds * 1_000)}ms",))
        cursor.execute(query, values)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
