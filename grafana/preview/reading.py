"""What the page shows: the answers to the dashboard's own queries, all as of one instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from grafana.source import reconciliation
from grafana.source.macros import expand
from grafana.source.model import Sql
from grafana.source.variables import Addresses
from moderation.adapters.sql.connection import Connection, connected
from moderation.errors import ConfigurationError

QUERIES = {
    "state": reconciliation.STATE,
    "comments": reconciliation.COMMENTS,
    "defects": reconciliation.DEFECTS,
    "gap": reconciliation.GAP,
    "windows": reconciliation.WINDOWS,
    "differences": reconciliation.DIFFERENCES,
    "residual_panes": reconciliation.RESIDUAL_PANES,
    "runs": reconciliation.RUNS,
}
"""By section of the page, the query of the dashboard's panel."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query gave.

    Attributes:
        names: of the columns.
        rows: values in that order.
    """

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def records(self) -> list[dict[str, Any]]:
        """Every row by name of column."""
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Preview:
    """A day, ready to be shown.

    Attributes:
        topic: full name.
        day: UTC day of event time.
        answers: by the names of ``QUERIES``.
        addresses: where links lead.
    """

    topic: str
    day: date
    results: Mapping[str, QueryResult]
    addresses: Addresses

    @property
    def defects(self) -> dict[str, int]:
        """How many, by kind."""
        [counts] = self.results["defects"].records()
        return counts


def read_preview(url: str, topic: str, day: date | None, addresses: Addresses) -> Preview:
    """Ask everything in one read-only snapshot.

    Args:
        url: a libpq connection string.
        topic: full name.
        day: the newest reconciled one if None.
        addresses: where links lead.

    Raises:
        ConfigurationError: the day was never reconciled, or the database cannot be reached.
        LedgerUnsafe: the views are not there.
    """
    with connected(url, name="moderation preview") as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        values = _choose(connection, topic, day)
        chosen = date.fromisoformat(str(values["day"]))
        results = {name: _ask(connection, query, values) for name, query in QUERIES.items()}
    return Preview(topic, chosen, results, addresses)


def _choose(connection: Connection, topic: str, day: date | None) -> dict[str, str | list[str]]:
    """The dashboard's variables as they stand when it opens on the day: everything chosen."""
    values: dict[str, str | list[str]] = {"topic": topic}
    for variable in reconciliation.CHOICES:
        if variable.name == "topic":
            continue
        choices = [row[0] for row in _ask(connection, Sql(variable.query), values).rows]
        if variable.name == "day":
            values["day"] = _chosen_day(topic, day, choices)
        else:
            values[variable.name] = choices
    return values


def _chosen_day(topic: str, day: date | None, days: Sequence[str]) -> str:
    if day is None and days:
        return days[0]
    if day is None or day.isoformat() not in days:
        what = f"{topic}, {day or 'any day'}"
        shown = f"Reconciled are {', '.join(days[:5])}." if days else "Run `moderation reconcile --date DAY` first."
        raise ConfigurationError(what, "it was never reconciled", shown)
    return day.isoformat()


def _ask(connection: Connection, query: Sql, values: Mapping[str, str | Sequence[str]]) -> QueryResult:
    end = datetime.now(UTC)
    cursor = connection.execute(expand(query.text, values, end - timedelta(days=30), end).encode())
    return QueryResult([column.name for column in cursor.description or ()], cursor.fetchall())
