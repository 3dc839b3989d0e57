"""Render the preview page: one HTML file without scripts that loads nothing from the network."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grafana.preview.chart import chart
from grafana.preview.html import cell, joined, link, model_link, number, section, table
from grafana.preview.reading import Preview

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


def render(preview: Preview) -> str:
    """Return the page as HTML text."""
    title = f"Reconciliation of {preview.day.isoformat()}"
    parts = (
        _header(preview, title),
        '<main id="content">',
        _tiles(preview),
        _gap(preview),
        _hours(preview),
        _differences(preview),
        _residuals(preview),
        _runs(preview),
        "</main>",
        "<footer>Written by <code>moderation preview</code> with the queries of Grafana's dashboard Reconciliation. "
        "Times are UTC; numbers of causes and rows are batch minus speed.</footer>",
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _header(preview: Preview, title: str) -> str:
    newest = preview.results["runs"].records()[0]
    links = [link(preview.addresses.mlflow_url, "MLflow")]
    if newest["airflow_run"]:
        links.insert(0, link(newest["airflow_run"], "Airflow run"))
    return (
        f'<a class="unseen" href="#content">To the content</a><header><div><h1>{html.escape(title)}</h1>'
        f"<p>topic <code>{html.escape(preview.topic)}</code> · results of the batch, recomputed from the lake, and of "
        f'the speed layer</p></div><nav aria-label="Elsewhere">{joined(links, " · ")}</nav></header>'
    )


def _tiles(preview: Preview) -> str:
    [state] = preview.results["state"].records()
    [comments] = preview.results["comments"].records()
    word, _, revision = state["state"].partition(", ")
    nonzero = {name: count for name, count in preview.defects.items() if count}
    listed = (
        ", ".join(f"{name} {number(count)}" for name, count in nonzero.items()) or "nothing lost, nothing unexplained"
    )
    tiles = (
        ("State", word, revision, "good" if word == "final" else "warn"),
        ("Batch", number(comments["batch"]), "comments", "batch"),
        ("Speed layer", number(comments["speed"]), "comments", "speed"),
        ("Gap", number(comments["gap"], signed=True), "batch minus speed", ""),
        ("Defects", number(sum(nonzero.values())), listed, "bad" if nonzero else "good"),
    )
    shown = (
        f'<div class="tile {kind}"><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>'
        for name, value, note, kind in tiles
    )
    return f'<dl class="tiles">{joined(list(shown))}</dl>'


def _gap(preview: Preview) -> str:
    records = preview.results["gap"].records()
    by_term = {record["term"]: record for record in records}
    causes = [record for record in records if record["kind"] in ("expected", "defect")]
    added = [f"{record['term']} {number(record['comments'], signed=True)}" for record in causes if record["comments"]]
    batch, speed, gap = (by_term[term]["comments"] for term in ("batch", "less speed", "is the gap"))
    equation = (
        f'<p class="equation"><span class="batch">{number(batch)}</span> − <span class="speed">{number(-speed)}</span>'
        f" = <strong>{number(gap, signed=True)}</strong> = {html.escape(' · '.join(added)) or '0'}</p>"
    )

    def signed(value: int) -> str:
        return number(value, signed=True) if value else '<span class="none">0</span>'

    def classed(record: Mapping[str, Any]) -> str:
        if record["kind"] == "defect":
            return "defect" if record["rows"] else "calm"
        return record["kind"] if record["kind"] != "expected" else "" if record["rows"] else "calm"

    shown = table(
        "Gap by cause",
        {"term": "", "rows": "rows", **_MEASURES, "meaning": "meaning"},
        records,
        special=dict.fromkeys(_MEASURES, signed),
        row_class=classed,
    )
    return section(
        "Gap by cause",
        "The gap is batch minus speed. The causes and the residual add up to the gap in every measure.",
        equation,
        shown,
    )


def _hours(preview: Preview) -> str:
    records = preview.results["windows"].records()
    most = max((record[side] for record in records for side in ("batch", "speed")), default=0)
    communities = sorted({record["community"] for record in records})
    charts = [chart(name, [r for r in records if r["community"] == name], most) for name in communities]
    rows = table(
        "Windows by community",
        _WINDOWS,
        records,
        special={"gap": lambda value: number(value, signed=True)},
        row_class=lambda record: "" if record["gap"] or record["causes"] else "calm",
    )
    legend = '<p class="legend"><span class="batch">batch</span> <span class="speed">speed layer</span></p>'
    return section(
        "Hours",
        "Comments by hour of event time. All communities have the same scale. A number above the bars is the gap.",
        legend,
        f'<div class="charts">{joined(charts)}</div>',
        f"<details><summary>The same in numbers ({len(records)} windows)</summary>{rows}</details>",
    )


def _differences(preview: Preview) -> str:
    records = preview.results["differences"].records()
    if not records:
        return section("Rows that differ", "None. Batch and speed layer count every row in the same way.")
    shown = table(
        "Rows that differ",
        _DIFFERENCES,
        records,
        special={
            "model_version": lambda version: model_link(preview.addresses, version),
            **dict.fromkeys(_MEASURES, lambda value: number(value, signed=True)),
        },
        row_class=lambda record: "defect" if record["cause"] in ("lost", "unexplained", "phantom") else "",
    )
    return section("Rows that differ", f"{len(records)} rows, defects first; 200 are shown at most.", shown)


def _residuals(preview: Preview) -> str:
    records = preview.results["residual_panes"].records()
    if not records:
        return section("Panes with a residual", "None. Every pane is the sum of its ledger rows.")
    shown = table(
        "Panes with a residual",
        _RESIDUALS,
        records,
        special={
            "model_version": lambda version: model_link(preview.addresses, version),
            **{name: lambda value: number(value, signed=True) for name in _RESIDUALS if name.startswith("residual_")},
        },
        row_class=lambda record: "defect",
    )
    return section("Panes with a residual", "Panes that differ from the sum of their ledger rows.", shown)


def _runs(preview: Preview) -> str:
    shown = table(
        "Runs of this day",
        _RUNS,
        preview.results["runs"].records(),
        special={
            "started_by": lambda started_by: link(started_by, started_by.rpartition("/")[2]),
            "differences_url": _file,
            "defects": lambda count: f'<span class="bad">{number(count)}</span>' if count else cell(count),
        },
    )
    return section("Runs of this day", "Every revision, newest first; the numbers of a revision never change.", shown)


def _file(url: str) -> str:
    """Return the file name; the tooltip shows the full address."""
    short = url.rpartition("/")[2]
    return f'<span title="{html.escape(url)}">{html.escape(short)}</span>'
