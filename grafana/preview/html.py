"""Format values as HTML: numbers, links, cells. Markup escapes what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from grafana.source.variables import Addresses

_MINUS, _NOTHING = "\u2212", Markup('<span class="none">–</span>')


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its CSS class, empty if it has none, and its cells."""

    css_class: str
    cells: Sequence[Markup]


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column contains the headers of the rows.

    Attributes:
        caption: text for screen readers.
        titles: of the columns.
        numeric: which columns contain numbers only; as many as ``titles``.
        rows: as they are shown.
    """

    caption: str
    titles: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Row]


def number(value: int | float, *, signed: bool = False) -> str:
    """Format a number with thousands separators and a typographic minus sign, e.g. ``+1,200``."""
    sign = _MINUS if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{abs(value):,}"


def cell(value: object) -> Markup:
    """Format the value of a cell."""
    match value:
        case None | "":
            return _NOTHING
        case bool():
            return escape("yes" if value else "no")
        case int() | float():
            return escape(number(value))
        case datetime():
            shown = f"{value:%Y-%m-%d %H:%M:%S}"
            return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), shown)
        case _:
            return escape(str(value))


def link(address: str, text: str) -> Markup:
    """Return a link, or only the text if the address is not a web address."""
    if not address.startswith(("http://", "https://")):
        return escape(text)
    return Markup('<a href="{}" rel="noreferrer">{}</a>').format(address, text)


def model_link(addresses: Addresses, version: str) -> Markup:
    """Return a link from a model version to MLflow; nothing for a difference that belongs to none."""
    if not version:
        return Markup()
    return link(f"{addresses.mlflow_url.rstrip('/')}/#/models/{addresses.model_name}/versions/{version}", version)


def table(
    caption: str,
    columns: Mapping[str, str],
    records: Iterable[Mapping[str, Any]],
    *,
    special: Mapping[str, Callable[[Any], Markup | str]] | None = None,
    row_class: Callable[[Mapping[str, Any]], str] = lambda record: "",
) -> Table:
    """Format the cells of a table.

    Args:
        caption: text for screen readers.
        columns: titles by name, in order.
        records: values by name.
        special: functions that format the cells of a column; default ``cell``.
        row_class: gives the CSS class of a row.
    """
    kept, formats = list(records), special or {}
    numeric = [bool(kept) and all(isinstance(each[name], int | float | None) for each in kept) for name in columns]
    rows = [Row(row_class(each), [escape(formats.get(name, cell)(each[name])) for name in columns]) for each in kept]
    return Table(caption, list(columns.values()), numeric, rows)
