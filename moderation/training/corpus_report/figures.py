"""Statistics of labelled comments: length, time, communities, leakage, duplicates and words. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.datasets.history import LabelledComment
from moderation.text import Lexicon
from moderation.timestamps import HOUR_US
from moderation.training.corpus_report.groups import Periods, Rate, rates_by_community, rates_by_period
from moderation.training.corpus_report.leaks import Leaks, find_leaks
from moderation.training.corpus_report.tokens import TokenFigures, count_tokens
from moderation.training.metrics import Bools

Ints = NDArray[np.int64]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LENGTH_BINS = 10
_FIRST_WEEKDAY = 3  # the first of January 1970 was a Thursday


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Bodies that occur more than once, ignoring case and white space.

    Attributes:
        bodies: number of distinct bodies that occur more than once.
        once: comments whose body occurs once.
        repeated: the other comments.
        most: comments with the most frequent body.
        contradicting: bodies of both removed and kept comments.
    """

    bodies: int
    once: Rate
    repeated: Rate
    most: int
    contradicting: int


@dataclass(frozen=True, slots=True)
class Exploration:
    """Statistics of labelled comments.

    Attributes:
        removed: the labels, shape (comments,).
        characters: lengths of bodies, shape (comments,).
        by_length: removal rates by length, groups of about equal size, shortest first.
        times: number of comments with a known time; the next four fields describe these.
        first_us, last_us: their first and last event time; 0 if there are none.
        by_hour: removal rates by hour of the day, UTC; empty if no time is known.
        by_weekday: removal rates by weekday, UTC; empty if no time is known.
        by_period: removal rates over time; empty if no time is known.
        by_community: removal rates by community, the largest first.
        duplicates: bodies that occur more than once.
        leaks: properties of the record that predict the label.
        tokens: statistics of tokens.
    """

    removed: Bools
    characters: Ints
    by_length: tuple[Rate, ...]
    times: int
    first_us: int
    last_us: int
    by_hour: tuple[Rate, ...]
    by_weekday: tuple[Rate, ...]
    by_period: Periods
    by_community: tuple[Rate, ...]
    duplicates: Duplicates
    leaks: Leaks
    tokens: TokenFigures


def explore(
    rows: Sequence[LabelledComment],
    lexicon: Lexicon,
    weigh: Callable[[Sequence[str]], Sequence[float]],
    encodings: Mapping[str, str] | None = None,
) -> Exploration:
    """Compute the statistics.

    Args:
        rows: at least one comment.
        lexicon: token cache.
        weigh: returns the contribution of each token alone to the log-odds of removal.
        encodings: encoding of each file by its name, as it was read.
    """
    texts = [row.comment.body for row in rows]
    removed = np.array([row.removed for row in rows], bool)
    characters = np.array([len(text) for text in texts], np.int64)
    is_known = np.array([row.is_time_known for row in rows], bool)
    time_us = np.array([row.comment.event_time_us for row in rows], np.int64)[is_known]
    hours = time_us // HOUR_US
    return Exploration(
        removed=removed,
        characters=characters,
        by_length=rates_by_length(characters, removed),
        times=len(time_us),
        first_us=int(time_us.min(initial=time_us.max(initial=0))),
        last_us=int(time_us.max(initial=0)),
        by_hour=_rates([f"{hour:02}" for hour in range(24)], hours % 24, removed[is_known]),
        by_weekday=_rates(WEEKDAYS, (hours // 24 + _FIRST_WEEKDAY) % 7, removed[is_known]),
        by_period=rates_by_period(time_us.tolist(), removed[is_known].tolist()),
        by_community=rates_by_community([row.comment.community for row in rows], removed.tolist()),
        leaks=find_leaks(rows, encodings),
        duplicates=find_duplicates(texts, removed),
        tokens=count_tokens(texts, removed, lexicon, weigh),
    )


def rates_by_length(characters: Ints, removed: Bools, bins: int = LENGTH_BINS) -> tuple[Rate, ...]:
    """Removal rates by length, in groups of about equal size; fewer groups if many have one length."""
    borders = np.unique(np.quantile(characters, np.arange(1, bins) / bins, method="higher"))
    group = np.searchsorted(borders, characters, side="left")
    # No numbered group is empty: a border is an existing length, and belongs to the group below it.
    present, group = np.unique(group, return_inverse=True)
    names = []
    for number in range(len(present)):
        lengths = characters[group == number]
        low, high = int(lengths.min()), int(lengths.max())
        names.append(f"{low:,}" if low == high else f"{low:,}–{high:,}")
    return _rates(names, group, removed)


def find_duplicates(texts: Sequence[str], removed: Bools) -> Duplicates:
    """Count bodies that occur more than once."""
    keys = [" ".join(text.casefold().split()) for text in texts]
    times = Counter(keys)
    gone = Counter(key for key, is_removed in zip(keys, removed.tolist(), strict=True) if is_removed)
    again = [key for key, count in times.items() if count > 1]
    repeated = Rate("more than once", sum(times[key] for key in again), sum(gone[key] for key in again))
    return Duplicates(
        bodies=len(again),
        once=Rate("once", len(keys) - repeated.comments, int(removed.sum()) - repeated.removed),
        repeated=repeated,
        most=max((times[key] for key in again), default=0),
        contradicting=sum(0 < gone[key] < times[key] for key in again),
    )


def _rates(names: Sequence[str], group: Ints, removed: Bools) -> tuple[Rate, ...]:
    if not len(group):
        return ()
    comments = np.bincount(group, minlength=len(names)).tolist()
    gone = np.bincount(group[removed], minlength=len(names)).tolist()
    return tuple(map(Rate, names, comments, gone))
