"""Compute the bar chart of one community: batch and speed by hour. The template draws it as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana.preview.html import number

WIDTH, HEIGHT = 640, 150
_HOURS = [f"{hour:02}:00" for hour in range(24)]
_LEFT, _BOTTOM, _TOP = 8, 18, 14
_STEP = (WIDTH - _LEFT) / len(_HOURS)
_BAR = _STEP * 0.36
BASE = HEIGHT - _BOTTOM
"""Height of the axis. All lengths are in units of the chart, from its upper left corner."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of one side, ``batch`` or ``speed``."""

    side: str
    x: float
    height: float


@dataclass(frozen=True, slots=True)
class Hour:
    """The bars of an hour.

    Attributes:
        title: the counts as text.
        bars: of batch and speed.
        gap: batch minus speed as text; empty if it is 0.
        gap_x, gap_y: where the gap is written.
    """

    title: str
    bars: Sequence[Bar]
    gap: str
    gap_x: float
    gap_y: float


@dataclass(frozen=True, slots=True)
class Chart:
    """The bar chart of a day.

    Attributes:
        community: its name.
        batch, speed: counts of the day as text.
        hours: hours that have comments.
        ticks: positions and names of the hours that are written below.
        bar_width: of each bar.
    """

    community: str
    batch: str
    speed: str
    hours: Sequence[Hour]
    ticks: Sequence[tuple[float, str]]
    bar_width: float = _BAR - 0.8


def chart(community: str, windows: Iterable[Mapping[str, Any]], most: int) -> Chart:
    """Compute the chart of a day.

    Args:
        community: name of the community.
        windows: ``hour``, ``batch`` and ``speed``; hours without comments may be absent.
        most: the count at full height; the same for all communities.
    """
    by_hour = {window["hour"]: window for window in windows}
    batch, speed = (number(sum(window[side] for window in by_hour.values())) for side in ("batch", "speed"))
    hours = [
        _hour(hour, by_hour[hour], _LEFT + index * _STEP, most) for index, hour in enumerate(_HOURS) if hour in by_hour
    ]
    ticks = [(_LEFT + index * _STEP, hour) for index, hour in enumerate(_HOURS) if index % 3 == 0]
    return Chart(community, batch, speed, hours, ticks)


def _hour(hour: str, window: Mapping[str, Any], left: float, most: int) -> Hour:
    def height(count: int) -> float:
        return (BASE - _TOP) * count / max(most, 1)

    bars = [Bar(side, left + shift, height(window[side])) for side, shift in (("batch", 0.0), ("speed", _BAR))]
    gap = window["batch"] - window["speed"]
    title = f"{hour}: batch {number(window['batch'])}, speed {number(window['speed'])}"
    top = BASE - max(bar.height for bar in bars) - 3
    return Hour(title, bars, number(gap, signed=True) if gap else "", left + _BAR, top)
