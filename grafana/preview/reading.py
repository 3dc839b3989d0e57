"""Read the data of the preview page with the queries of the dashboard, in one snapshot."""

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
"""The query of the dashboard panel, by section of the page."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Result of a query.

    Attributes:
        names: names of the columns.
        rows: values in the order of ``names``.
    """

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def records(self) -> list[dict[str, Any]]:
        """Return every row as a mapping from column name to value."""
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Preview:
    """Data of one day for the page.

    Attributes:
        topic: full name of the topic.
        day: UTC day of event time.
        results: results by the names of ``QUERIES``.
        addresses: targets of links.
    """

    topic: str
    day: date
    results: Mapping[str, QueryResult]
    addresses: Addresses

    @property
    def defects(self) -> dict[str, int]:
        """Count of defects by kind."""
        [counts] = self.results["defects"].records()
        return counts


def read_preview(url: str, topic: str, day: date | None, addresses: Addresses) -> Preview:
    """Run all queries in one read-only snapshot.

    Args:
        url: a libpq connection string.
        topic: full name of the topic.
        day: UTC day; None for the newest reconciled day.
        addresses: targets of links.

    Raises:
        ConfigurationError: the day was never reconciled, or the database cannot be reached.
        LedgerUnsafe: the views do not exist.
    """
    with connected(url, name="moderation preview") as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        values = _choose(connection, topic, day)
        chosen = date.fromisoformat(str(values["day"]))
        results = {name: _ask(connection, query, values) for name, query in QUERIES.items()}
    return Preview(topic, chosen, results, addresses)


def _choose(connection: Connection, topic: str, day: date | None) -> dict[str, str | list[str]]:
    """Return the variables of the dashboard as at its opening: all values of each are chosen."""
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
        shown = f"Reconciled days: {', '.join(days[:5])}." if days else "Run `moderation reconcile --date DAY` first."
        raise ConfigurationError(what, "the day was never reconciled", shown)
    return day.isoformat()


def _ask(connection: Connection, query: Sql, values: Mapping[str, str | Sequence[str]]) -> QueryResult:
    end = datetime.now(UTC)
    cursor = connection.execute(expand(query.text, values, end - timedelta(days=30), end).encode())
    return QueryResult([column.name for column in cursor.description or ()], cursor.fetchall())
