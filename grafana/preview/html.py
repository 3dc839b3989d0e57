"""Format values as escaped HTML: numbers, links, tables and sections."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from grafana.source.variables import Addresses

_MINUS, _NOTHING = "\u2212", '<span class="none">–</span>'


def number(value: int | float, *, signed: bool = False) -> str:
    """Format a number with thousands separators and a typographic minus sign, e.g. ``+1,200``."""
    sign = _MINUS if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{abs(value):,}"


def cell(value: object) -> str:
    """Format the value of a cell."""
    match value:
        case None | "":
            return _NOTHING
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return number(value)
        case datetime():
            return f'<time datetime="{value.isoformat()}">{value:%Y-%m-%d %H:%M:%S}</time>'
        case _:
            return html.escape(str(value))


def link(address: str, text: str) -> str:
    """Return a link, or only the text if the address is not a web address."""
    if not address.startswith(("http://", "https://")):
        return html.escape(text)
    return f'<a href="{html.escape(address)}" rel="noreferrer">{html.escape(text)}</a>'


def model_link(addresses: Addresses, version: str) -> str:
    """Return a link from a model version to MLflow."""
    return link(f"{addresses.mlflow_url.rstrip('/')}/#/models/{addresses.model_name}/versions/{version}", version)


def table(
    caption: str,
    columns: Mapping[str, str],
    records: Iterable[Mapping[str, Any]],
    *,
    special: Mapping[str, Callable[[Any], str]] | None = None,
    row_class: Callable[[Mapping[str, Any]], str] = lambda record: "",
) -> str:
    """Return a table that scrolls horizontally if it is wider than the page.

    Args:
        caption: text for screen readers.
        columns: titles by name, in order; cells of the first column are row headers.
        records: values by name.
        special: functions that format the cells of a column; default ``cell``.
        row_class: gives the CSS class of a row.
    """
    kept = list(records)
    numeric = {
        name for name in columns if kept and all(isinstance(record[name], int | float | None) for record in kept)
    }

    def classed(name: str) -> str:
        return ' class="number"' if name in numeric else ""

    head = "".join(f'<th scope="col"{classed(name)}>{html.escape(title)}</th>' for name, title in columns.items())
    lines = []
    for record in kept:
        cells = [(special or {}).get(name, cell)(record[name]) for name in columns]
        body = "".join(f"<td{classed(name)}>{text}</td>" for name, text in zip(columns, cells, strict=True))
        first = body.replace("<td", '<th scope="row"', 1).replace("</td>", "</th>", 1)
        lines.append(f'<tr class="{row_class(record)}">{first}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(caption)}"><table>'
        f'<caption class="unseen">{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def section(title: str, explanation: str, *content: str) -> str:
    """Return a section of the page with its heading."""
    return f"<section><h2>{html.escape(title)}</h2><p>{html.escape(explanation)}</p>{''.join(content)}</section>"


def joined(parts: Sequence[str], between: str = "") -> str:
    """Join parts of HTML."""
    return between.join(parts)
