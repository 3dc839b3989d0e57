"""Lay out a word cloud: words of different sizes that do not overlap, the largest in the middle.

Each word is placed on a spiral from the centre, at the first position where it touches no other word (Viegas,
Wattenberg and Feinberg, Participatory Visualization with Wordle, 2009). The same words give the same picture.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

LARGEST, SMALLEST = 44.0, 11.0
"""Font sizes in units of the picture."""
_MOST_CHARACTERS = 24
_LINE = 1.05  # height of a word in its font size
_GAP = 3.0
_FLATNESS = 0.5  # height of the spiral in its width
_NARROW, _BROAD = frozenset("iljtfrI.,:;'!|()[]/"), frozenset("mwMW@%&")


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word of a cloud.

    Attributes:
        word: the word, cut to 24 characters.
        x, y: middle of its baseline, in units of the picture.
        size: font size.
        width: width; the picture stretches the word to it, whatever the font is.
    """

    word: str
    x: float
    y: float
    size: float
    width: float


@dataclass(frozen=True, slots=True)
class WordCloud:
    """A laid out cloud.

    Attributes:
        words: the largest first.
        box: left, top, width and height of the picture.
    """

    words: tuple[PlacedWord, ...]
    box: tuple[float, float, float, float]


def lay_out(weights: Sequence[tuple[str, float]]) -> WordCloud:
    """Lay out words.

    Args:
        weights: words with positive weights, largest first. The area of a word's letters grows with its weight.
    """
    placed: list[PlacedWord] = []
    boxes: list[tuple[float, float, float, float]] = []
    for word, weight in weights:
        shown = word if len(word) <= _MOST_CHARACTERS else word[: _MOST_CHARACTERS - 1] + "…"
        size = max(SMALLEST, LARGEST * math.sqrt(weight / weights[0][1]))
        width, height = size * sum(map(_width, shown)), size * _LINE
        box = _free_place(boxes, width + _GAP, height)
        boxes.append(box)
        x, y = (box[0] + box[2]) / 2, box[1] + 0.8 * height
        placed.append(PlacedWord(shown, round(x, 1), round(y, 1), round(size, 1), round(width, 1)))
    if not boxes:
        return WordCloud((), (0.0, 0.0, 1.0, 1.0))
    left, top = (min(box[side] for box in boxes) for side in (0, 1))
    right, bottom = (max(box[side] for box in boxes) for side in (2, 3))
    return WordCloud(tuple(placed), (round(left, 1), round(top, 1), round(right - left, 1), round(bottom - top, 1)))


def _free_place(
    boxes: Sequence[tuple[float, float, float, float]], width: float, height: float
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the free place nearest to the centre on the spiral."""
    step = 0
    while True:
        # Equal distances along the spiral r = a·angle: the angle grows with the root of the step.
        angle = math.sqrt(8.0 * step)
        x, y = 1.6 * angle * math.cos(angle), _FLATNESS * 1.6 * angle * math.sin(angle)
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        if not any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in boxes
        ):
            return box
        step += 1


def _width(character: str) -> float:
    """Return the width of a character in its font size."""
    if character in _NARROW:
        return 0.32
    if character in _BROAD:
        return 0.88
    if unicodedata.combining(character):
        return 0.0
    return 1.0 if unicodedata.east_asian_width(character) in "WF" else 0.57
