"""Values as HTML: numbers people can read, links only where they lead somewhere, and everything escaped."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from grafana.source.variables import Addresses

_MINUS, _NOTHING = "\u2212", '<span class="none">–</span>'


def number(value: int | float, *, signed: bool = False) -> str:
    """With thousands apart and a real minus sign, e.g. ``+1,200``."""
    sign = _MINUS if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{abs(value):,}"


def cell(value: object) -> str:
    """A value of any column."""
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
    """A link, or only its text where the address is none of the web."""
    if not address.startswith(("http://", "https://")):
        return html.escape(text)
    return f'<a href="{html.escape(address)}" rel="noreferrer">{html.escape(text)}</a>'


def model_link(addresses: Addresses, version: str) -> str:
    """A model version that leads to MLflow."""
    return link(f"{addresses.mlflow_url.rstrip('/')}/#/models/{addresses.model_name}/versions/{version}", version)


def table(
    caption: str,
    columns: Mapping[str, str],
    records: Iterable[Mapping[str, Any]],
    *,
    special: Mapping[str, Callable[[Any], str]] | None = None,
    row_class: Callable[[Mapping[str, Any]], str] = lambda record: "",
) -> str:
    """A table that scrolls by itself when it is wider than the page.

    Args:
        caption: for people who do not see the heading above it.
        columns: titles by name, in order; the first heads its row.
        records: values by name.
        special: HTML of a column's cells, where it is not that of ``cell``.
        row_class: a CSS class of a row.
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
    """A part of the page under its heading."""
    return f"<section><h2>{html.escape(title)}</h2><p>{html.escape(explanation)}</p>{''.join(content)}</section>"


def joined(parts: Sequence[str], between: str = "") -> str:
    """Parts of HTML, one after the other."""
    return between.join(parts)
