"""Draw the hours of one community as an SVG bar chart of batch and speed."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

from grafana.preview.html import number

_HOURS = [f"{hour:02}:00" for hour in range(24)]
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 150, 8, 18, 14
_STEP = (_WIDTH - _LEFT) / len(_HOURS)
_BAR = _STEP * 0.36


def chart(community: str, windows: Iterable[Mapping[str, Any]], most: int) -> str:
    """Return the bar chart of a day as HTML.

    Args:
        community: name of the community.
        windows: ``hour``, ``batch`` and ``speed``; hours without comments may be absent.
        most: the count at full height; the same for all communities.
    """
    by_hour = {window["hour"]: window for window in windows}
    total = {side: sum(window[side] for window in by_hour.values()) for side in ("batch", "speed")}
    totals = f"batch {number(total['batch'])}, speed {number(total['speed'])}"
    description = f"{community}: {totals} comments over the day"
    base = _HEIGHT - _BOTTOM
    parts = [f'<line x1="0" y1="{base}" x2="{_WIDTH}" y2="{base}" class="axis"/>']
    for index, hour in enumerate(_HOURS):
        left = _LEFT + index * _STEP
        if index % 3 == 0:
            parts.append(f'<text x="{left:.1f}" y="{_HEIGHT - 4}">{hour}</text>')
        if hour in by_hour:
            parts.append(_group(hour, by_hour[hour], left, base, most))
    return (
        f'<figure><figcaption>{html.escape(community)} <span class="total">batch {number(total["batch"])} · speed '
        f"{number(total['speed'])}</span></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(description)}">'
        f"{''.join(parts)}</svg>"
        "</figure>"
    )


def _group(hour: str, window: Mapping[str, Any], left: float, base: int, most: int) -> str:
    bars = []
    for side, shift in (("batch", 0.0), ("speed", _BAR)):
        height = (base - _TOP) * window[side] / max(most, 1)
        bars.append(
            f'<rect class="{side}" x="{left + shift:.1f}" y="{base - height:.1f}" width="{_BAR - 0.8:.1f}" '
            f'height="{height:.1f}"/>'
        )
    gap = window["batch"] - window["speed"]
    mark = ""
    if gap:
        top = base - (base - _TOP) * max(window["batch"], window["speed"]) / max(most, 1) - 3
        mark = f'<text class="gap" x="{left + _BAR:.1f}" y="{top:.1f}">{number(gap, signed=True)}</text>'
    title = f"{hour}: batch {number(window['batch'])}, speed {number(window['speed'])}"
    return f"<g><title>{html.escape(title)}</title>{''.join(bars)}{mark}</g>"
