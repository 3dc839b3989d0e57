"""Results of comparing published topics with the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from moderation.adapters.sql.connection import Connection

_STORE = """
INSERT INTO batch.published_checks
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (topic, day, published) DO UPDATE SET compared = excluded.compared, unpublished = excluded.unpublished,
       published_otherwise = excluded.published_otherwise, published_unknown = excluded.published_unknown,
       examples = excluded.examples, skipped = excluded.skipped, checked_us = excluded.checked_us,
       read_to = excluded.read_to
 WHERE excluded.skipped IS NULL OR published_checks.skipped IS NOT NULL
"""
_READ_TO = """
SELECT read_to FROM batch.published_checks
 WHERE topic = %s AND published = %s AND day < %s AND skipped IS NULL ORDER BY day DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class PublishedCheck:
    """Comparison of a published topic with the ledger's rows of a day.

    Attributes:
        published: ``decisions``, ``alerts`` or ``panes``.
        compared: rows that must be on the topic.
        unpublished: of these the rows that the topic lacks.
        published_otherwise: rows that the topic has with another key or value.
        published_unknown: positions on the topic that the ledger lacks.
        examples: the first positions by kind of difference.
        skipped: why nothing was compared; None if it was.
        read_to: ends of the partitions of the published topic that were read, by its id and partition.
    """

    published: str
    compared: int = 0
    unpublished: int = 0
    published_otherwise: int = 0
    published_unknown: int = 0
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    skipped: str | None = None
    read_to: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def defects(self) -> dict[str, int]:
        """Count of differences by kind, without zeros."""
        names = ("unpublished", "published_otherwise", "published_unknown")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def __str__(self) -> str:
        if self.skipped is not None:
            return f"topic {self.published} was not compared: {self.skipped}"
        counts = ", ".join(f"{count:,} {name}" for name, count in self.defects.items()) or "no difference"
        return f"topic {self.published}: {self.compared:,} rows, {counts}"

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields."""
        return {
            "topic": self.published,
            "compared": self.compared,
            "unpublished": self.unpublished,
            "published_otherwise": self.published_otherwise,
            "published_unknown": self.published_unknown,
            "examples": {kind: list(places) for kind, places in self.examples.items()},
            "skipped": self.skipped,
        }


def store_check(connection: Connection, topic: str, day: date, check: PublishedCheck, checked_us: int) -> None:
    """Store a comparison; it replaces the last one of the day and topic, unless it was skipped and that one was not.

    Args:
        connection: to the database.
        topic: full name of topic ``comments``.
        day: the UTC day.
        check: the comparison.
        checked_us: when it ended, microseconds since the epoch.
    """
    counts = (check.compared, check.unpublished, check.published_otherwise, check.published_unknown)
    with connection.transaction():
        connection.execute(
            _STORE,
            (
                *(topic, day, check.published, *counts, Jsonb(dict(check.examples)), check.skipped, checked_us),
                Jsonb(dict(check.read_to)),
            ),
        )


def ends_of_last_check(
    connection: Connection, topic: str, published: str, day: date, topic_id: UUID
) -> Mapping[int, int]:
    """Read where the comparison of the last compared day before a day ended, by partition of the published topic.

    Args:
        connection: to the database.
        topic: full name of topic ``comments``.
        published: ``decisions``, ``alerts`` or ``panes``.
        day: the UTC day.
        topic_id: Kafka's id of the published topic; ends of a former topic of its name are left out.
    """
    row = connection.execute(_READ_TO, (topic, published, day)).fetchone()
    ends: Mapping[str, int] = {} if row is None else row[0].get(str(topic_id), {})
    return {int(partition): end for partition, end in ends.items()}
