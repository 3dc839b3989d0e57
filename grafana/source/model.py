"""Value types for dashboards and alert rules: variables, panels, queries, columns.

A SQL query may use Grafana's variables (``${topic:sqlstring}``) and macros; :mod:`grafana.source.macros` expands them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

POSTGRES_UID = "moderation-postgres"
PROMETHEUS_UID = "moderation-prometheus"
POSTGRES_TYPE = "grafana-postgresql-datasource"
PROMETHEUS_TYPE = "prometheus"

Kind = Literal["stat", "table", "timeseries", "barchart"]


@dataclass(frozen=True, slots=True)
class Sql:
    """Query for PostgreSQL."""

    text: str


@dataclass(frozen=True, slots=True)
class Prom:
    """Query for Prometheus.

    Attributes:
        text: PromQL.
        legend: name of each series, with labels as ``{{partition}}``.
    """

    text: str
    legend: str = "__auto"


Query = Sql | Prom


@dataclass(frozen=True, slots=True)
class Link:
    """Link of a cell; the address may use ``${__data.fields.name}``."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Column:
    """Display options of a result column.

    Attributes:
        title: shown instead of the name.
        unit: Grafana's name of the unit.
        link: link of its cells.
        width: width in pixels; None lets Grafana choose.
        colours: colour by the text of a cell.
        red_from: cells with this value or more are red.
        hidden: True if only a link uses the column.
    """

    title: str = ""
    unit: str = ""
    link: Link | None = None
    width: int | None = None
    colours: Mapping[str, str] = field(default_factory=dict)
    red_from: float | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Panel of a dashboard.

    Attributes:
        title: title of the panel.
        description: what the panel shows, and what to do about bad values.
        kind: a ``timeseries`` has a column ``time``; the first column of a ``barchart`` is text.
        queries: all SQL or all Prometheus.
        width, height: in columns (24 in all) and in rows of 30 pixels.
        unit: unit of all numbers.
        columns: options by name, for columns that need some.
        thresholds: lower bounds and their colours, for a ``stat``.
        is_stacked: True to stack the areas.
    """

    title: str
    description: str
    kind: Kind
    queries: tuple[Query, ...]
    width: int = 12
    height: int = 8
    unit: str = "short"
    columns: Mapping[str, Column] = field(default_factory=dict)
    thresholds: tuple[tuple[float, str], ...] = ()
    is_stacked: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """Variable that users choose at the top of a dashboard.

    Attributes:
        name, label: name in queries, label in the UI.
        query: SQL that lists the values in its first column, or the constant value.
        is_many: True if several values may be chosen; initially all are.
        is_constant: True for a fixed value that links use.
    """

    name: str
    label: str
    query: str
    is_many: bool = False
    is_constant: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Dashboard: panels laid out from left to right.

    Attributes:
        uid: identifier; must never change because links use it.
        title: title of the page.
        description: what the dashboard shows, and for whom.
        variables: choices at the top, from left to right.
        panels: in reading order.
        since: start of the initial time range, e.g. ``now-6h``.
        refresh: refresh interval; empty for none.
    """

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    panels: tuple[Panel, ...]
    since: str
    refresh: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """Alert rule: it fires while the query returns more than a bound for some time.

    Attributes:
        uid: identifier; must never change.
        title: name of the alert; `docs/runbooks.md` has a section of this name.
        query: SQL returns one number per row, and text columns become labels; a Prometheus query is instant.
        above: the rule fires above this value.
        for_duration: how long the value must stay above it, in Grafana's notation.
        every: evaluation interval.
        no_data_state: state if the query returns nothing: ``OK``, or ``Alerting`` if missing data is a problem.
        severity: ``critical`` pages the operator on call, ``warning`` can wait for working hours.
        summary: one line; ``{{ .Labels.name }}`` and ``{{ .Values.A }}``, because ``$`` starts an environment variable.
        runbook: what to do.
        panel: dashboard uid and title of the panel with details.
    """

    uid: str
    title: str
    query: Query
    above: float
    for_duration: str
    every: str
    no_data_state: Literal["OK", "Alerting"]
    severity: Literal["critical", "warning"]
    summary: str
    runbook: str
    panel: tuple[str, str]
