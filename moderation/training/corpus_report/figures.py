"""What there is to see in labelled comments: how long, when, how often the same, in which words. Pure counting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.datasets.history import LabelledComment
from moderation.policy.policy import Estimate
from moderation.policy.resolve import wilson
from moderation.text import Lexicon
from moderation.timestamps import HOUR_US
from moderation.training.corpus_report.tokens import TokenFigures, count_tokens
from moderation.training.metrics import Bools

Ints = NDArray[np.int64]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LENGTH_BINS = 10
_FIRST_WEEKDAY = 3  # the first of January 1970 was a Thursday


@dataclass(frozen=True, slots=True)
class Rate:
    """How many comments of a group were removed.

    Attributes:
        group: its name.
        comments: how many there are.
        removed: how many of them were removed.
    """

    group: str
    comments: int
    removed: int

    @property
    def share(self) -> Estimate:
        """Removed of all, with its 95 % interval."""
        return wilson(self.removed, self.comments)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Bodies that occur more than once, case and white space aside.

    Attributes:
        bodies: how many different ones occur more than once.
        once: comments whose body occurs once.
        repeated: the other comments.
        most: comments of the body that occurs most.
        contradicting: bodies that were removed here and kept there.
    """

    bodies: int
    once: Rate
    repeated: Rate
    most: int
    contradicting: int


@dataclass(frozen=True, slots=True)
class Exploration:
    """What there is to see.

    Attributes:
        removed: the labels, shape (comments,).
        characters: lengths of bodies, shape (comments,).
        by_length: removal rates by length, groups of about equal size, shortest first.
        times: comments whose time is known; the next four tell of these.
        first_us, last_us: their first and last event time; 0 if there are none.
        by_hour: removal rates by hour of the day, UTC; empty if no time is known.
        by_weekday: removal rates by weekday, UTC; empty if no time is known.
        duplicates: bodies that occur more than once.
        tokens: what the words show.
    """

    removed: Bools
    characters: Ints
    by_length: tuple[Rate, ...]
    times: int
    first_us: int
    last_us: int
    by_hour: tuple[Rate, ...]
    by_weekday: tuple[Rate, ...]
    duplicates: Duplicates
    tokens: TokenFigures


def explore(
    rows: Sequence[LabelledComment], lexicon: Lexicon, weigh: Callable[[Sequence[str]], Sequence[float]]
) -> Exploration:
    """Count what there is to see.

    Args:
        rows: at least one comment.
        lexicon: where tokens are worked out.
        weigh: what a model adds to the log-odds of removal for each token alone.
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
        duplicates=find_duplicates(texts, removed),
        tokens=count_tokens(texts, removed, lexicon, weigh),
    )


def rates_by_length(characters: Ints, removed: Bools, bins: int = LENGTH_BINS) -> tuple[Rate, ...]:
    """Removal rates by length, in groups of about equal size; fewer groups where many are of one length."""
    borders = np.unique(np.quantile(characters, np.arange(1, bins) / bins, method="higher"))
    group = np.searchsorted(borders, characters, side="left")
    # Of numbered groups none is empty: a border is a length that occurs, and belongs to the group below it.
    present, group = np.unique(group, return_inverse=True)
    names = []
    for number in range(len(present)):
        own = characters[group == number]
        low, high = int(own.min()), int(own.max())
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
