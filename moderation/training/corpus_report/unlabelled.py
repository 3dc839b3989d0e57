"""The page about comments without labels: communities, lengths, times, frequent words, and copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from spacy.lang.en.stop_words import STOP_WORDS

from moderation.datasets.history import LabelledComment
from moderation.text import Lexicon
from moderation.timestamps import HOUR_US
from moderation.training.corpus_report import pictures, sections
from moderation.training.corpus_report.blocks import (
    BarRow,
    Bars,
    Block,
    Cloud,
    Picture,
    Section,
    Text,
    Tile,
    printable,
)
from moderation.training.corpus_report.figures import Duplicates, find_duplicates
from moderation.training.corpus_report.groups import Rate, rates_by_community, rates_by_period
from moderation.training.corpus_report.html_page import render_page, written_tile
from moderation.training.corpus_report.tokens import LEAST_COMMENTS, TokenFigures, count_tokens
from moderation.training.corpus_report.word_cloud import lay_out


@dataclass(frozen=True, slots=True)
class UnlabelledPage:
    """The page and its main figures.

    Attributes:
        html: the page.
        times: number of comments with a known time.
        duplicates: bodies that occur more than once.
        tokens: number of distinct tokens.
    """

    html: str
    times: int
    duplicates: Duplicates
    tokens: int


def render_unlabelled(rows: Sequence[LabelledComment], lexicon: Lexicon, source: str) -> UnlabelledPage:
    """Render the page; labels are not used. It shows no word that fewer than ten different comments contain.

    Args:
        rows: at least one comment.
        lexicon: token cache.
        source: name of the data set.
    """
    texts = [row.comment.body for row in rows]
    none_removed = np.zeros(len(rows), bool)
    times_us = [row.comment.event_time_us for row in rows if row.is_time_known]
    communities = rates_by_community([row.comment.community for row in rows], none_removed.tolist())
    duplicates = find_duplicates(texts, none_removed)
    tokens = count_tokens(texts, none_removed, lexicon, lambda names: [0.0] * len(names))
    shown = [
        Section("communities", "communities", "Communities", _communities(communities, len(rows))),
        Section("lengths", "length", "Length", [_lengths(texts)]),
        Section("times", "time", "Time", _times(times_us)),
        Section("tokens", "words", "Frequent words", _words(tokens)),
        Section("ranks", "frequency", "How often words occur", [sections.ranks(tokens)]),
        Section("duplicates", "duplicates", "The same again", [_duplicates(duplicates)]),
        Section("next", "next", "Without labels", [_next()]),
    ]
    tiles = [
        Tile("comments", f"{len(rows):,}"),
        Tile("communities", f"{len({row.comment.community for row in rows}):,}"),
        written_tile(len(times_us), min(times_us, default=0), max(times_us, default=0)),
    ]
    html = render_page(source, "Comments without labels.", "", tiles, shown)
    return UnlabelledPage(html, len(times_us), duplicates, len(tokens.frequency))


def _communities(rates: Sequence[Rate], comments: int) -> list[Block]:
    if len(rates) == 1:
        return [Text(f"All comments are of one community, {printable(rates[0].group)}.")]
    longest = max(rate.comments for rate in rates)
    rows = [
        BarRow(
            printable(rate.group[:60]),
            100 * rate.comments / longest,
            f"{rate.comments:,}",
            f"{100 * rate.comments / comments:.1f} %",
        )
        for rate in rates
    ]
    return [Bars("Comments by community, the largest first", ("community", "comments", ""), "kept", rows)]


def _lengths(texts: Sequence[str]) -> Block:
    characters = np.array([len(text) for text in texts], np.int64)
    low, middle, high = (int(each) for each in np.quantile(characters, (0.1, 0.5, 0.9)))
    return Picture(
        pictures.picture(lambda axes: pictures.draw_all_lengths(axes, characters)),
        f"Half of the comments have at most {middle:,} characters; eight of ten have {low:,} to {high:,}.",
        f"Lengths of comments; the median is {middle:,} characters, the longest has {int(characters.max()):,}.",
    )


def _times(times_us: Sequence[int]) -> list[Block]:
    if not times_us:
        return [Text("The comments have no times, so there are no plots of time.")]
    none_removed = [False] * len(times_us)
    periods = rates_by_period(times_us, none_removed)
    of_hour = Counter(time_us // HOUR_US % 24 for time_us in times_us)
    hours = [Rate(f"{hour:02}", of_hour[hour], 0) for hour in range(24)]
    parts: list[Block] = []
    for title, rates in ((f"{periods.unit} (UTC)", periods.rates), ("hour of the day (UTC)", hours)):
        busiest = max(rates, key=lambda rate: rate.comments)
        if len(rates) > 1:
            parts.append(
                Picture(
                    pictures.picture(lambda axes, rates=rates, title=title: pictures.draw_totals(axes, rates, title)),  # type: ignore[misc]
                    f"Comments by {title}.",
                    f"Numbers of comments by {title}. Most are of {busiest.group}: {busiest.comments:,}.",
                )
            )
    return parts


def _words(tokens: TokenFigures) -> list[Block]:
    frequent = sorted(tokens.telling, key=lambda each: (-each.comments, each.token))
    words = [
        (printable(each.token), float(each.comments))
        for each in frequent
        if any(map(str.isalpha, each.token)) and each.token not in STOP_WORDS and "'" not in each.token
    ][: sections.CLOUD_WORDS]
    if not words:
        return [Text(f"No word occurs in {LEAST_COMMENTS} different comments.")]
    alternative = f"Word cloud. The most frequent words are {', '.join(word for word, _ in words[:10])}."
    caption = (
        "Words by the number of comments that contain them, without English function words. Only words that at least "
        f"{LEAST_COMMENTS} different comments contain are shown."
    )
    return [Cloud(caption, "kept", alternative, lay_out(words))]


def _duplicates(duplicates: Duplicates) -> Block:
    if not duplicates.bodies:
        return Text("No body occurs more than once.")
    return Text(
        f"Bodies that occur more than once: {duplicates.bodies:,}, in {duplicates.repeated.comments:,} comments; the "
        f"most frequent one in {duplicates.most:,}."
    )


def _next() -> Block:
    return Text(
        "moderation bootstrap starts a system without labels: a random share of the comments is reviewed, and the "
        "actions of moderators become labels. If moderators have acted already, give their actions by --actions FILE. "
        "Comments that another model has scored have a label by a threshold, e.g. --columns label=score>=0.5."
    )
