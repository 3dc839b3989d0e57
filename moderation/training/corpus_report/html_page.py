"""Render sections as one HTML page without scripts and external resources."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from moderation.html_template import html_templates
from moderation.training.corpus_report.blocks import Section, Tile

_STYLE = Path(__file__).with_name("style.css")


def render_page(source: str, intro: str, model: str, tiles: Sequence[Tile], sections: Sequence[Section]) -> str:
    """Render the page.

    Args:
        source: name of the data set.
        intro: sentence below the title.
        model: sentence of the footer about the model; empty without one.
        tiles: figures at the top.
        sections: sections in order.
    """
    template = html_templates("moderation.training.corpus_report").get_template("page.html.jinja")
    style = Markup(_STYLE.read_text(encoding="utf-8"))  # noqa: S704 - a file of this package
    return template.render(source=source, intro=intro, model=model, style=style, tiles=tiles, sections=sections)


def written_tile(times: int, first_us: int, last_us: int) -> Tile:
    """Return the tile with the days of the first and the last comment.

    Args:
        times: number of comments with a known time.
        first_us: their first event time, in microseconds.
        last_us: their last event time, in microseconds.
    """
    if not times:
        return Tile("written", "unknown")
    first, last = (datetime.fromtimestamp(us // 1_000_000, UTC) for us in (first_us, last_us))
    return Tile("written", f"{first:%Y-%m-%d}", f"to {last:%Y-%m-%d}")
