"""Results of comparing published topics with the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from psycopg.types.json import Jsonb

from moderation.adapters.sql.connection import Connection

_STORE = """
INSERT INTO batch.published_checks
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (topic, day, published) DO UPDATE SET compared = excluded.compared, unpublished = excluded.unpublished,
       published_otherwise = excluded.published_otherwise, published_unknown = excluded.published_unknown,
       examples = excluded.examples, skipped = excluded.skipped, checked_us = excluded.checked_us
 WHERE excluded.skipped IS NULL OR published_checks.skipped IS NOT NULL
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
    """

    published: str
    compared: int = 0
    unpublished: int = 0
    published_otherwise: int = 0
    published_unknown: int = 0
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    skipped: str | None = None

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
            _STORE, (topic, day, check.published, *counts, Jsonb(dict(check.examples)), check.skipped, checked_us)
        )
