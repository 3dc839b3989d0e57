"""HTML elements of the page. Text of comments is escaped and isolated from the text direction of the page."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from moderation.policy.policy import Estimate
from moderation.training.corpus_report.figures import Rate
from moderation.training.corpus_report.tokens import TellingToken

_TOKEN_CHARACTERS = 30


def escaped(text: str) -> str:
    """Escape text of this project, such as a file name."""
    return html.escape(text)


def foreign(text: str) -> str:
    """Escape text of comments, isolate its direction, and replace control characters."""
    shown = "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)
    return f"<bdi>{html.escape(shown)}</bdi>"


def percent(estimate: Estimate) -> str:
    """Format a share with its interval, e.g. ``32.3 % (31.1–33.7)``."""
    return f"{100 * estimate.value:.1f} % ({100 * estimate.low:.1f}–{100 * estimate.high:.1f})"


def section(name: str, title: str, *content: str) -> str:
    """Build a section with an anchor."""
    return f'<section id="{name}"><h2>{escaped(title)}</h2>{"".join(content)}</section>'


def figure(png: bytes, caption: str, alternative: str) -> str:
    """Build a figure with an embedded picture.

    Args:
        png: the picture.
        caption: caption of the figure.
        alternative: text alternative of the picture.
    """
    address = "data:image/png;base64," + base64.b64encode(png).decode()
    picture = f'<img src="{address}" alt="{escaped(alternative)}">'
    return f"<figure><figcaption>{escaped(caption)}</figcaption>{picture}</figure>"


def rate_table(caption: str, rates: Sequence[Rate]) -> str:
    """Build a collapsed table of removal rates."""
    rows = "".join(
        f'<tr><th scope="row">{escaped(rate.group)}</th><td class="number">{rate.comments:,}</td>'
        f'<td class="number">{percent(rate.share) if rate.comments else "–"}</td></tr>'
        for rate in rates
    )
    return (
        f'<details><summary>The numbers</summary><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escaped(caption)}"><table><caption>{escaped(caption)}</caption><thead><tr><th scope="col"></th>'
        f'<th scope="col" class="number">comments</th><th scope="col" class="number">removed (95 %)</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def token_table(caption: str, column: str, kind: str, tokens: Sequence[tuple[TellingToken, float]]) -> str:
    """Build a table of tokens with bars.

    Args:
        caption: caption of the table.
        column: quantity of the bars.
        kind: ``removed`` or ``kept``, the class that the tokens indicate.
        tokens: tokens with the length of their bars, positive, longest first.
    """
    longest = max((value for _, value in tokens), default=1.0)
    rows = "".join(
        f'<tr><th scope="row">{foreign(_shortened(token.token))}</th>'
        f'<td class="drawn"><span class="bar {kind}" style="width:{100 * value / longest:.0f}%"></span></td>'
        f'<td class="number">{value:.2f}</td><td class="number">{token.removed:,} of {token.comments:,}</td></tr>'
        for token, value in tokens
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(caption)}"><table>'
        f'<caption>{escaped(caption)}</caption><thead><tr><th scope="col">token</th>'
        f'<th scope="col" colspan="2">{escaped(column)}</th><th scope="col" class="number">removed</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _shortened(token: str) -> str:
    return token if len(token) <= _TOKEN_CHARACTERS else token[:_TOKEN_CHARACTERS] + "…"
