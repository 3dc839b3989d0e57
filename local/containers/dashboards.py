"""Run the queries of the dashboards as Grafana would, with its role; Grafana itself has no stand-in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from grafana.source.files import dashboards
from grafana.source.macros import expand
from grafana.source.model import Dashboard, Sql
from grafana.source.variables import Addresses
from local.containers.project import Project
from moderation.errors import StackError


def run_every_query(project: Project) -> dict[str, Any]:
    """Run every SQL query of every dashboard as role ``grafana``.

    Returns:
        Number of ``dashboards``, ``queries`` and ``queries_with_rows``.

    Raises:
        StackError: a query fails, or the role may read tables of the ledger.
    """
    queries = with_rows = 0
    for dashboard in (every := dashboards(Addresses())):
        values = _values(project, dashboard)
        for panel in dashboard.panels:
            for query in panel.queries:
                if isinstance(query, Sql):
                    queries += 1
                    with_rows += bool(_ask(project, query.text, values))
    try:
        _ask(project, "SELECT 1 FROM speed.decisions", {})
    except StackError as refused:
        if "permission denied" not in str(refused):
            raise
    else:
        raise StackError("role grafana", "it may read speed.decisions", "See docker/postgres/databases.sh.")
    return {"dashboards": len(every), "queries": queries, "queries_with_rows": with_rows}


def _values(project: Project, dashboard: Dashboard) -> dict[str, list[str]]:
    """The variables of a dashboard: all their values."""
    values: dict[str, list[str]] = {}
    for variable in dashboard.variables:
        if not variable.is_constant:
            values[variable.name] = [row[0] for row in _ask(project, variable.query, values) if row[0]] or [""]
    return values


def _ask(project: Project, query: str, values: dict[str, list[str]]) -> list[list[str]]:
    now = datetime.now(UTC)
    given = {name: listed[0] if name in ("topic", "day") else listed for name, listed in values.items()}
    statement = expand(query, given, now - timedelta(days=2), now + timedelta(days=1)).rstrip().rstrip(";")
    return project.sql(statement + ";", role="grafana", password="POSTGRES_GRAFANA_PASSWORD")  # noqa: S106 - a name
