"""Render dashboards (:mod:`grafana.source.model`) as Grafana's classic JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from grafana.source.model import (
    POSTGRES_TYPE,
    POSTGRES_UID,
    PROMETHEUS_TYPE,
    PROMETHEUS_UID,
    Column,
    Dashboard,
    Link,
    Panel,
    Query,
    Sql,
    Variable,
)

Json = dict[str, Any]

SCHEMA_VERSION = 42
TAG = "comment-moderation"
_COLUMNS = 24
_POSTGRES = {"type": POSTGRES_TYPE, "uid": POSTGRES_UID}
_PROMETHEUS = {"type": PROMETHEUS_TYPE, "uid": PROMETHEUS_UID}


def render_dashboard(dashboard: Dashboard) -> Json:
    """Return the JSON of a dashboard; the id of a panel is its position, from 1."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "utc",
        "time": {"from": dashboard.since, "to": "now"},
        "refresh": dashboard.refresh,
        "links": [
            {
                "type": "dashboards",
                "title": "Moderation dashboards",
                "tags": [TAG],
                "asDropdown": False,
                "includeVars": False,
                "keepTime": False,
            }
        ],
        "annotations": {"list": []},
        "templating": {"list": [_variable(variable) for variable in dashboard.variables]},
        "panels": list(_panels(dashboard.panels)),
    }


def panel_id(dashboard: Dashboard, title: str) -> int:
    """Return the id of the panel with this title.

    Raises:
        StopIteration: no panel has the title.
    """
    return next(number for number, panel in enumerate(dashboard.panels, 1) if panel.title == title)


def target(query: Query, letter: str, *, kind: str = "table", instant: bool = False) -> Json:
    """Return a query as a panel or an alert sends it."""
    if isinstance(query, Sql):
        form = "time_series" if kind == "timeseries" else "table"
        return {
            "refId": letter,
            "datasource": _POSTGRES,
            "editorMode": "code",
            "rawQuery": True,
            "format": form,
            "rawSql": query.text,
        }
    return {
        "refId": letter,
        "datasource": _PROMETHEUS,
        "editorMode": "code",
        "expr": query.text,
        "legendFormat": query.legend,
        "instant": instant,
        "range": not instant,
    }


def _variable(variable: Variable) -> Json:
    if variable.is_constant:
        value = {"text": variable.query, "value": variable.query, "selected": True}
        return {
            "name": variable.name,
            "label": variable.label,
            "type": "constant",
            "query": variable.query,
            "current": value,
            "options": [value],
            "hide": 2,
            "skipUrlSync": True,
        }
    everything = {"text": ["All"], "value": ["$__all"], "selected": True}
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": _POSTGRES,
        "query": variable.query,
        "definition": variable.query,
        "refresh": 2,
        "sort": 0,
        "multi": variable.is_many,
        "includeAll": variable.is_many,
        "current": everything if variable.is_many else {},
        "options": [],
        "hide": 0,
    }


def _panels(panels: Iterable[Panel]) -> Iterator[Json]:
    left = top = lowest = 0
    for number, panel in enumerate(panels, 1):
        if left + panel.width > _COLUMNS:
            left, top = 0, lowest
        yield _panel(panel, number, {"x": left, "y": top, "w": panel.width, "h": panel.height})
        left += panel.width
        lowest = max(lowest, top + panel.height)


def _panel(panel: Panel, number: int, position: Json) -> Json:
    is_sql = isinstance(panel.queries[0], Sql)
    instant = not is_sql and panel.kind in ("stat", "table")
    steps: list[Json] = [{"color": "text" if not panel.thresholds else "green", "value": None}]
    steps += [{"color": colour, "value": value} for value, colour in panel.thresholds if value]
    defaults: Json = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}, "custom": {}}
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "drawStyle": "line",
            "fillOpacity": 20 if panel.is_stacked else 5,
            "spanNulls": False,
            "showPoints": "auto",
            "stacking": {"mode": "normal" if panel.is_stacked else "none", "group": "A"},
        }
    elif panel.kind == "table":
        defaults["custom"] = {"filterable": True}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": position,
        "datasource": _POSTGRES if is_sql else _PROMETHEUS,
        "targets": [
            target(query, "ABCDEF"[n], kind=panel.kind, instant=instant) for n, query in enumerate(panel.queries)
        ],
        "fieldConfig": {
            "defaults": defaults,
            "overrides": [_override(name, column) for name, column in panel.columns.items()],
        },
        "options": _options(panel),
    }


def _options(panel: Panel) -> Json:
    match panel.kind:
        case "stat":
            return {
                "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": "/.*/"},
                "colorMode": "value",
                "graphMode": "none",
                "textMode": "auto",
                "orientation": "auto",
            }
        case "table":
            return {"showHeader": True, "cellHeight": "sm"}
        case "barchart":
            return {
                "xTickLabelSpacing": 0,
                "showValue": "never",
                "stacking": "none",
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                "tooltip": {"mode": "multi"},
            }
        case "timeseries":
            return {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }


def _override(name: str, column: Column) -> Json:
    properties: list[Json] = []

    def add(key: str, value: object) -> None:
        properties.append({"id": key, "value": value})

    if column.title:
        add("displayName", column.title)
    if column.unit:
        add("unit", column.unit)
    if column.width is not None:
        add("custom.width", column.width)
    if column.hidden:
        add("custom.hidden", True)  # Grafana 12
        add("custom.hideFrom.viz", True)  # and later
    if column.link is not None:
        add("links", [_link(column.link)])
    if column.colours:
        options = {text: {"color": colour, "index": n} for n, (text, colour) in enumerate(column.colours.items())}
        add("mappings", [{"type": "value", "options": options}])
        add("custom.cellOptions", {"type": "color-text"})
    if column.red_from is not None:
        steps = [{"color": "text", "value": None}, {"color": "red", "value": column.red_from}]
        add("thresholds", {"mode": "absolute", "steps": steps})
        add("custom.cellOptions", {"type": "color-text"})
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def _link(link: Link) -> Json:
    return {"title": link.title, "url": link.url, "targetBlank": not link.url.startswith("/d/")}
