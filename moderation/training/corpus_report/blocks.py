"""Parts of the page, as its templates show them. Nothing here is escaped; the templates escape everything."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from moderation.policy.policy import Estimate
from moderation.training.corpus_report.groups import Rate
from moderation.training.corpus_report.tokens import TellingToken
from moderation.training.corpus_report.word_cloud import WordCloud

_TOKEN_CHARACTERS = 30


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph.

    Attributes:
        text: plain text.
        kind: the template's name for this part; so in the other classes.
    """

    text: str
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Notice:
    """A paragraph that warns."""

    text: str
    kind: Literal["notice"] = "notice"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading within a section."""

    text: str
    kind: Literal["heading"] = "heading"


@dataclass(frozen=True, slots=True)
class Picture:
    """An embedded picture.

    Attributes:
        png: the file.
        caption: what it shows.
        alternative: text alternative for screen readers.
        kind: see :class:`Text`.
    """

    png: bytes = field(repr=False)
    caption: str
    alternative: str
    kind: Literal["picture"] = "picture"

    @property
    def address(self) -> str:
        """The picture as a URL."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


@dataclass(frozen=True, slots=True)
class RateRow:
    """A row of a table of removal rates: a group, its number of comments, and the removed share as text."""

    group: str
    comments: int
    removed: str


@dataclass(frozen=True, slots=True)
class Rates:
    """A collapsed table of removal rates."""

    caption: str
    rows: Sequence[RateRow]
    kind: Literal["rates"] = "rates"

    @classmethod
    def of(cls, caption: str, rates: Sequence[Rate]) -> Rates:
        """Return the table of some rates."""
        return cls(
            caption,
            [RateRow(each.group, each.comments, percent(each.share) if each.comments else "–") for each in rates],
        )


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token with the length of its bar, and the removed comments of those that contain it."""

    token: str
    value: float
    removed: int
    comments: int


@dataclass(frozen=True, slots=True)
class TokenTable:
    """A table of tokens with bars.

    Attributes:
        caption: caption of the table.
        column: quantity of the bars.
        side: ``removed`` or ``kept``, the class that the tokens indicate.
        rows: longest bar first; lengths are positive.
    """

    caption: str
    column: str
    side: str
    rows: Sequence[TokenRow]

    @classmethod
    def of(cls, caption: str, column: str, side: str, tokens: Sequence[tuple[TellingToken, float]]) -> TokenTable:
        """Return the table of tokens and the lengths of their bars."""
        rows = [TokenRow(_cut(each.token), value, each.removed, each.comments) for each, value in tokens]
        return cls(caption, column, side, rows)

    @property
    def longest(self) -> float:
        """Length of the longest bar."""
        return max((row.value for row in self.rows), default=1.0)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tables of tokens side by side."""

    tables: Sequence[TokenTable]
    kind: Literal["tokens"] = "tokens"


@dataclass(frozen=True, slots=True)
class Example:
    """Text of a comment, and its probability of removal."""

    text: str
    probability: float
    kind: Literal["example"] = "example"


@dataclass(frozen=True, slots=True)
class BarRow:
    """A row with a bar: name, length of the bar in percent of the column, value and note as text."""

    name: str
    width: float
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Bars:
    """A table with bars.

    Attributes:
        caption: caption of the table.
        columns: headings of name, value and note.
        side: ``removed`` or ``kept``: the colour.
        rows: rows in order.
        kind: see :class:`Text`.
    """

    caption: str
    columns: tuple[str, str, str]
    side: str
    rows: Sequence[BarRow]
    kind: Literal["bars"] = "bars"


@dataclass(frozen=True, slots=True)
class Cloud:
    """A word cloud.

    Attributes:
        caption: what it shows.
        side: ``removed`` or ``kept``: the colour.
        alternative: text alternative for screen readers.
        cloud: the words with their places.
        kind: see :class:`Text`.
    """

    caption: str
    side: str
    alternative: str
    cloud: WordCloud
    kind: Literal["cloud"] = "cloud"


Block = Text | Notice | Heading | Picture | Rates | Tokens | Bars | Cloud | Example


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page.

    Attributes:
        name: its anchor.
        link: text of the link to it.
        title: its heading.
        blocks: its parts.
    """

    name: str
    link: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure at the top of the page, with a smaller note; empty if it has none."""

    name: str
    value: str
    note: str = ""


def printable(text: str) -> str:
    """Replace the control characters in the text of a comment, also those of text direction."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def percent(estimate: Estimate) -> str:
    """Format a share with its interval, e.g. ``32.3 % (31.1–33.7)``."""
    return f"{100 * estimate.value:.1f} % ({100 * estimate.low:.1f}–{100 * estimate.high:.1f})"


def _cut(token: str) -> str:
    cut = token if len(token) <= _TOKEN_CHARACTERS else token[:_TOKEN_CHARACTERS] + "…"
    return printable(cut)
