"""The newest windows of the speed layer, for people."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from moderation.adapters.sql.connecting import connected

_NEWEST = """
SELECT community, start_us, end_us, comments, reviews, removals, score_sum, late, is_closed
  FROM serving.tumbling_windows WHERE topic_id = %s AND (%s::text IS NULL OR community = %s)
 ORDER BY start_us DESC, community LIMIT %s
"""


def newest_windows(url: str, topic_id: UUID, community: str | None, most: int) -> list[dict[str, Any]]:
    """Hours, newest first, then by community.

    Args:
        url: a libpq connection string.
        topic_id: of the source topic.
        community: only this one; all if None.
        most: how many at most.

    Raises:
        ConfigurationError: the database cannot be reached.
    """
    with connected(url) as connection, connection.cursor() as cursor:
        cursor.execute(_NEWEST, (topic_id, community, community, most))
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
