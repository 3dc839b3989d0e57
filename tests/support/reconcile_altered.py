"""Alter ledger and panes of a reconciled day, and read what the reconciliation found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batch.reconcile.report import ReconcileReport
from tests.support.reconcile_day import DayUnderTest


def gaps(report: ReconcileReport) -> dict[str, int]:
    """Return the causes and defects that are not 0."""
    found = {**report.causes, "residual": report.defects["residual"]}
    return {name: count for name, count in found.items() if count}


@contextmanager
def altered(day: DayUnderTest, *statements: str) -> Iterator[None]:
    """Alter ledger and panes and restore both at the end; ``{of}`` is the condition on the topic."""
    tables = ("decisions", "panes", "dead_letters")
    of = f"topic_id = '{day.layer.topic_id}'"
    for table in tables:
        day.execute(f"CREATE TABLE speed.kept_{table} AS SELECT * FROM speed.{table} WHERE {of}")
    try:
        for statement in statements:
            day.execute(statement.format(of=of))
        yield
    finally:
        for table in tables:
            day.execute(f"DELETE FROM speed.{table} WHERE {of}")
            day.execute(f"INSERT INTO speed.{table} SELECT * FROM speed.kept_{table}")
            day.execute(f"DROP TABLE speed.kept_{table}")


@dataclass(frozen=True)
class Row:
    """A counted decision."""

    partition: int
    offset: int
    community: str
    start_us: int
    score_ppm: int

    @property
    def place(self) -> str:
        """Return a condition on the ledger."""
        return f'{{of}} AND partition = {self.partition} AND "offset" = {self.offset}'

    @property
    def pane(self) -> str:
        """Return a condition on the panes."""
        return (
            f"{{of}} AND partition = {self.partition} AND start_us = {self.start_us} AND community = '{self.community}'"
        )


def allowed(day: DayUnderTest) -> list[Row]:
    """Return the counted decisions of the day with verdict allow, in order."""
    rows = day.execute(
        'SELECT partition, "offset", community, event_time_us - event_time_us %% 300000000, score_ppm '
        "FROM speed.decisions WHERE topic_id = %s AND verdict = 'allow' AND fate = 'counted' ORDER BY 1, 2",
        day.layer.topic_id,
    )
    return [Row(*row) for row in rows]


def letter(
    row: Row, *, offset: int | None = None, replayed: bool = False, value: bytes = b"", reason: str = "not_json"
) -> str:
    """Return a statement that stores a dead letter: of the row, or of a record that the row replays."""
    replay = f"{row.partition}, {row.offset}" if replayed else "NULL, NULL"
    place = row.offset if offset is None else offset
    return (
        f"INSERT INTO speed.dead_letters SELECT topic_id, partition, {place}, append_us, '{reason}', '', '', "
        f"{len(value)}, '{hashlib.sha256(value).hexdigest()}', {replay} FROM speed.decisions WHERE {row.place}"
    )


def lake_file(day: DayUnderTest, name: str) -> Path:
    """Return the largest file of a topic in the lake."""
    topic = day.settings.topic_prefix + name
    found = day.execute("SELECT path FROM batch.files WHERE topic = %s ORDER BY rows DESC LIMIT 1", topic)
    return Path(str(day.settings.lake_url)) / str(found[0][0])


def residual(day: DayUnderTest) -> tuple[int, ...]:
    """Return the four sums of residuals of the last run of the day."""
    return day.execute(
        "SELECT sum(residual_comments)::int, sum(residual_reviews)::int, sum(residual_removals)::int, "
        "sum(residual_score_sum)::int FROM serving.reconciled_panes WHERE topic = %s",
        day.layer.topic,
    )[0]


def caused(day: DayUnderTest, cause: str) -> tuple[int, ...]:
    """Return the contribution of a cause to batch minus speed: comments, reviews, removals, score sum."""
    return day.execute(
        "SELECT sum(comments)::int, sum(reviews)::int, sum(removals)::int, sum(score_sum)::int "
        "FROM serving.reconciled_causes WHERE topic = %s AND cause = %s",
        day.layer.topic,
        cause,
    )[0]
