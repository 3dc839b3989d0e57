"""What a dashboard is made of: variables, panels with their queries and columns, alert rules. Plain values.

A query in SQL may use Grafana's variables (``${topic:sqlstring}``) and macros; ``expanding`` says what they become.
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
    """A query of PostgreSQL."""

    text: str


@dataclass(frozen=True, slots=True)
class Prom:
    """A query of Prometheus.

    Attributes:
        text: PromQL.
        legend: name of each series, with labels as ``{{partition}}``.
    """

    text: str
    legend: str = "__auto"


Query = Sql | Prom


@dataclass(frozen=True, slots=True)
class Link:
    """Where a cell leads; the address may use ``${__data.fields.name}``."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Column:
    """How a column of a result is shown.

    Attributes:
        title: instead of its name.
        unit: Grafana's name of a unit.
        link: where its cells lead.
        width: in pixels; Grafana chooses if None.
        colours: text of a cell to a colour.
        red_from: cells of this value and more are red.
        hidden: needed by a link only.
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
    """One question and its answer.

    Attributes:
        title: the answer's name.
        description: what it shows, and what to do when it looks bad.
        kind: a ``timeseries`` has a column ``time``; a ``barchart`` begins with a column of text.
        queries: all of SQL or all of Prometheus.
        width, height: of 24 columns, of rows of 30 pixels.
        unit: of all numbers.
        columns: by name, where they differ.
        thresholds: from which value on which colour, for a ``stat``.
        is_stacked: areas on top of each other.
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
    """What people choose at the top of a dashboard.

    Attributes:
        name, label: in queries, for people.
        query: SQL that lists the values in its first column, or the one constant value.
        is_many: several may be chosen, at first all.
        is_constant: not chosen at all; an address that links use.
    """

    name: str
    label: str
    query: str
    is_many: bool = False
    is_constant: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of panels, laid out from left to right.

    Attributes:
        uid: never changes: links name it.
        since: how far back the time range reaches at first, e.g. ``now-6h``.
        refresh: how often it asks again; empty for never.
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
    """A rule: what its query returns above a bound, for some time, is an alert.

    Attributes:
        uid: never changes.
        query: SQL gives one number a row, columns of text become labels; Prometheus is asked for this instant.
        above: fires above this value.
        lasting: for how long, as Grafana writes it.
        every: how often it is looked at.
        silence: state where the query returns nothing: ``OK``, or ``Alerting`` where that is bad news itself.
        severity: ``critical`` wakes somebody, ``warning`` waits for the morning.
        summary: one line; ``{{ .Labels.name }}`` and ``{{ .Values.A }}``, since ``$`` stands for the environment.
        runbook: what to do.
        panel: dashboard and title of the panel that shows more.
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
