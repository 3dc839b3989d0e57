"""Markdown of the reports that the batch layer writes: tables, code, times, percentages and thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from moderation.policy.policy import NEVER_PPM
from moderation.timestamps import moment_of


def table(header: str, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table.

    Args:
        header: the first line, e.g. ``| figure | value |``.
        rows: one cell for each column; cells contain no unescaped ``|``.
    """
    yield header
    yield "|" + "---|" * (header.count("|") - 1)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def aligned_table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose columns are also aligned as plain text, with an empty line on both sides.

    Args:
        rows: the heading, then each row; cells are escaped.
    """
    cells = [[escape(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    separator = " | ".join("-" * max(width, 3) for width in widths)
    return ["", *(f"| {line} |" for line in (lines[0], separator, *lines[1:])), ""]


def escape(text: str) -> str:
    """Escape untrusted text, so that it cannot end a line or a cell, and contains no markup."""
    printable = "".join(letter if letter.isprintable() else "�" for letter in text)
    return printable.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")


def code(text: str) -> str:
    """Return untrusted text as code, so that it cannot become a link, an image, markup or the end of a cell."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return f"`{' '.join(printable.replace('`', chr(39)).replace('|', '¦').split()) or ' '}`"


def minute(time_us: int) -> str:
    """Format a time, microseconds since the epoch, as date and minute, UTC."""
    return f"{moment_of(time_us):%Y-%m-%d %H:%M} UTC"


def iso_time(time_us: int) -> str:
    """Format a time, microseconds since the epoch, as ISO 8601, UTC; with fractions only if there are any."""
    return moment_of(time_us).isoformat().replace("+00:00", "Z")


def percent(share: float, decimals: int) -> str:
    """Format a share between 0 and 1 as a percentage."""
    return f"{100 * share:.{decimals}f} %"


def threshold_ppm(ppm: int) -> str:
    """Format a threshold of a policy in parts per million."""
    return "never" if ppm >= NEVER_PPM else f"{ppm:,} ppm"


def threshold_probability(ppm: int) -> str:
    """Format a threshold of a policy, given in parts per million, as a probability."""
    return "never" if ppm >= NEVER_PPM else f"{ppm / 1_000_000:.4f}"
