"""Render the preview page: one HTML file without scripts that loads nothing from the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from grafana.preview import chart as charts
from grafana.preview.html import Table, cell, link, model_link, number, table
from grafana.preview.reading import Preview
from grafana.source.reconciliation import RED_CAUSES
from moderation.html_template import html_templates

_STYLE = Path(__file__).with_name("style.css")
_MEASURES = {
    "comments": "comments",
    "reviews": "reviews",
    "removals": "removals",
    "score_sum": "score sum (ppm)",
}
_WINDOWS = {
    "hour": "hour (UTC)",
    "community": "community",
    "batch": "batch",
    "speed": "speed",
    "gap": "gap",
    "batch_reviews": "reviews, batch",
    "speed_reviews": "speed",
    "batch_removals": "removals, batch",
    "speed_removals": "speed",
    "causes": "rows by cause",
}
_DIFFERENCES = {
    "cause": "cause",
    "written": "written (UTC)",
    "community": "community",
    "comment_id": "comment",
    **_MEASURES,
    "batch_verdict": "batch",
    "batch_score_ppm": "score (ppm)",
    "speed_verdict": "speed",
    "speed_score_ppm": "score (ppm)",
    "speed_fate": "fate",
    "model_version": "model",
    "policy_version": "policy",
    "partition": "partition",
    "offset": "offset",
}
_RESIDUALS = {
    "pane": "pane (UTC)",
    "community": "community",
    "model_version": "model",
    "policy_version": "policy",
    "partition": "partition",
    "batch_comments": "batch",
    "speed_comments": "speed",
    **{f"residual_{name}": f"residual {title}" if name == "comments" else title for name, title in _MEASURES.items()},
}
_RUNS = {
    "revision": "revision",
    "state": "state",
    "batch_comments": "batch",
    "speed_comments": "speed",
    "defects": "defects",
    "finished": "finished (UTC)",
    "seconds": "seconds",
    "engine": "engine",
    "kernel_version": "kernel",
    "code_version": "code",
    "started_by": "started by",
    "differences_url": "all differences",
}


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure at the top of the page.

    Attributes:
        name, value, note: as they are shown.
        css_class: its colour; empty if it has none.
    """

    name: str
    value: str
    note: str
    css_class: str


@dataclass(frozen=True, slots=True)
class Equation:
    """Batch minus speed is the gap, and the causes add up to it; every part as text."""

    batch: str
    speed: str
    gap: str
    causes: str


def render(preview: Preview) -> str:
    """Return the page as HTML text."""
    windows = preview.results["windows"].records()
    most = max((record[side] for record in windows for side in ("batch", "speed")), default=0)
    communities = sorted({record["community"] for record in windows})
    return (
        html_templates("grafana.preview")
        .get_template("page.html.jinja")
        .render(
            title=f"Reconciliation of {preview.day.isoformat()}",
            style=Markup(_STYLE.read_text(encoding="utf-8")),  # noqa: S704 - a file of this package
            topic=preview.topic,
            links=_links(preview),
            tiles=_tiles(preview),
            equation=_equation(preview),
            gap=_gap(preview),
            charts=[charts.chart(name, [r for r in windows if r["community"] == name], most) for name in communities],
            width=charts.WIDTH,
            height=charts.HEIGHT,
            base=charts.BASE,
            windows=_windows(preview),
            differences=_differences(preview),
            residuals=_residuals(preview),
            runs=_runs(preview),
        )
    )


def _links(preview: Preview) -> list[Markup]:
    newest = preview.results["runs"].records()[0]
    mlflow = link(preview.addresses.mlflow_url, "MLflow")
    return [link(newest["airflow_run"], "Airflow run"), mlflow] if newest["airflow_run"] else [mlflow]


def _tiles(preview: Preview) -> list[Tile]:
    [state] = preview.results["state"].records()
    [comments] = preview.results["comments"].records()
    word, _, revision = state["state"].partition(", ")
    nonzero = {name: count for name, count in preview.defects.items() if count}
    listed = (
        ", ".join(f"{name} {number(count)}" for name, count in nonzero.items()) or "nothing lost, nothing unexplained"
    )
    return [
        Tile("State", word, revision, "good" if word == "final" else "warn"),
        Tile("Batch", number(comments["batch"]), "comments", "batch"),
        Tile("Speed layer", number(comments["speed"]), "comments", "speed"),
        Tile("Gap", number(comments["gap"], signed=True), "batch minus speed", ""),
        Tile("Defects", number(sum(nonzero.values())), listed, "bad" if nonzero else "good"),
    ]


def _equation(preview: Preview) -> Equation:
    records = preview.results["gap"].records()
    by_term = {record["term"]: record for record in records}
    causes = [record for record in records if record["kind"] in ("expected", "defect")]
    added = [f"{record['term']} {number(record['comments'], signed=True)}" for record in causes if record["comments"]]
    batch, speed, gap = (by_term[term]["comments"] for term in ("batch", "less speed", "is the gap"))
    return Equation(number(batch), number(-speed), number(gap, signed=True), " · ".join(added) or "0")


def _gap(preview: Preview) -> Table:
    def classed(record: Mapping[str, Any]) -> str:
        if record["kind"] == "defect":
            return "defect" if record["rows"] else "calm"
        return record["kind"] if record["kind"] != "expected" else "" if record["rows"] else "calm"

    return table(
        "Gap by cause",
        {"term": "", "rows": "rows", **_MEASURES, "meaning": "meaning"},
        preview.results["gap"].records(),
        special=dict.fromkeys(_MEASURES, _signed),
        row_class=classed,
    )


def _windows(preview: Preview) -> Table:
    return table(
        "Windows by community",
        _WINDOWS,
        preview.results["windows"].records(),
        special={"gap": partial(number, signed=True)},
        row_class=lambda record: "" if record["gap"] or record["causes"] else "calm",
    )


def _differences(preview: Preview) -> Table:
    return table(
        "Rows that differ",
        _DIFFERENCES,
        preview.results["differences"].records(),
        special={
            "model_version": partial(model_link, preview.addresses),
            **dict.fromkeys(_MEASURES, partial(number, signed=True)),
        },
        row_class=lambda record: "defect" if record["cause"] in RED_CAUSES else "",
    )


def _residuals(preview: Preview) -> Table:
    return table(
        "Panes with a residual",
        _RESIDUALS,
        preview.results["residual_panes"].records(),
        special={
            "model_version": partial(model_link, preview.addresses),
            **dict.fromkeys(
                (name for name in _RESIDUALS if name.startswith("residual_")), partial(number, signed=True)
            ),
        },
        row_class=lambda record: "defect",
    )


def _runs(preview: Preview) -> Table:
    return table(
        "Runs of this day",
        _RUNS,
        preview.results["runs"].records(),
        special={
            "started_by": lambda started_by: link(started_by, started_by.rpartition("/")[2]),
            "differences_url": _file,
            "defects": _defects,
        },
    )


def _signed(value: int) -> str | Markup:
    return number(value, signed=True) if value else Markup('<span class="none">0</span>')


def _defects(count: int) -> Markup:
    return Markup('<span class="bad">{}</span>').format(number(count)) if count else cell(count)


def _file(url: str) -> Markup:
    """Return the file name; the tooltip shows the full address."""
    return Markup('<span title="{}">{}</span>').format(url, url.rpartition("/")[2])
