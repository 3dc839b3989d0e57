"""Find label leakage: properties of the raw record, not of what the author wrote, that predict the label.

A label leaks if it shows in the record because of the moderation itself, or of how the data was put together: an edit
mark on removed comments, a file with removed comments only, an hour at which a batch was exported. A model learns the
leak and fails on live comments, which do not have it.

Two kinds of properties are examined. Groups divide all comments, e.g. the hours of the day; their ROC AUC says how
well the group alone predicts the label. Marks are on some comments, e.g. an edit mark or a last word; their removal
rate says whether nearly all of them have one label.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from moderation.datasets.history import LabelledComment
from moderation.timestamps import DAY_US, HOUR_US
from moderation.training.corpus_report.groups import Rate, month_of
from moderation.training.metrics import Bools
from moderation.training.seen_texts import normalised

LEAK_AUC = 0.8
"""ROC AUC of a group from which on it is reported as a leak."""
LEAST_COMMENTS = 20
"""Comments of a group or with a mark; smaller groups are merged."""
LEAST_BODIES = 10
"""Distinct bodies with a first or last word that may be shown: rarer ones may be personal names."""
NEARLY_ALL = 0.9
"""Removal rate from which on, with 95 % probability, nearly all comments with a mark are removed."""
NEARLY_NONE = 0.25
"""Part of the overall removal rate below which, with 95 % probability, nearly all comments with a mark are kept."""
LEAST_KEPT_SHARE = 0.01
"""Share of all comments that begin or end with a word, for a warning that nearly all of them are kept: comments with
usual words, such as thanks, are hardly ever removed."""
_FOLDS = 5
_PRIOR = 5.0
_PARTS = 50
_LENGTH_PARTS = 20
_MOST_WORDS = 10
_WORD_CHARACTERS = 30

_MARKS: dict[str, re.Pattern[str]] = {
    "an edit mark such as [edited]": re.compile(
        r"[\[(*]\s*edit(?:ed)?\b[^\])*]{0,40}[\])*]|^\W*edit(?:ed)?\s*\d?\s*:", re.I | re.M
    ),
    "a mark of moderation such as [removed]": re.compile(
        r"[\[(]\s*(?:comment |content )?(?:removed|deleted|moderated|redacted|hidden)\b[^\])]{0,60}[\])]", re.I
    ),
    "text that was decoded with the wrong encoding": re.compile(
        "\u00c3[\u0080-\u00bf]|\u00e2\u20ac[\u0080-\u2122]|\u00c2[\u00a0-\u00bf]"
    ),
    "a replacement character (U+FFFD)": re.compile("\ufffd"),
    "an HTML entity such as &amp;": re.compile(r"&(?:amp|lt|gt|quot|nbsp|#\d{2,5});"),
    "an HTML tag": re.compile(r"</?(?:a|b|i|p|br|div|span|blockquote)\b[^>]{0,200}>", re.I),
    "white space at the beginning or end": re.compile(r"\A\s|\s\Z"),
    "characters outside ASCII": re.compile("[^\x00-\x7f]"),
}


@dataclass(frozen=True, slots=True)
class GroupLeak:
    """How well a group alone predicts the label.

    Attributes:
        name: what the group is, e.g. ``hour of the day (UTC)``.
        groups: number of groups, after small ones were merged.
        auc: ROC AUC of the removal rate of a comment's group, estimated on other comments.
    """

    name: str
    groups: int
    auc: float

    @property
    def is_leak(self) -> bool:
        """Whether it predicts the label nearly alone."""
        return self.auc >= LEAK_AUC


@dataclass(frozen=True, slots=True)
class MarkLeak:
    """The removal rate of comments with a mark.

    Attributes:
        rate: number of comments with the mark and of removed ones; its name completes "comments that …".
        overall: removal rate of all comments.
    """

    rate: Rate
    overall: float

    @property
    def is_leak(self) -> bool:
        """Whether nearly all comments with the mark have one label."""
        if self.rate.comments < LEAST_COMMENTS:
            return False
        share = self.rate.share
        return share.low >= max(NEARLY_ALL, (1 + self.overall) / 2) or share.high <= NEARLY_NONE * self.overall


@dataclass(frozen=True, slots=True)
class Leaks:
    """What was examined.

    Attributes:
        groups: the most predictive first.
        marks: marks of which comments have some; first and last words only if they are a leak.
    """

    groups: tuple[GroupLeak, ...]
    marks: tuple[MarkLeak, ...]

    def warnings(self) -> list[str]:
        """Return one sentence for each leak."""
        found = [
            f"The {each.name} alone predicts the label with ROC AUC {each.auc:.2f}."
            for each in self.groups
            if each.is_leak
        ]
        for each in self.marks:
            if each.is_leak:
                rate = each.rate
                found.append(
                    f"Of {rate.comments:,} comments that {rate.group}, {rate.removed:,} are removed "
                    f"({rate.removed / rate.comments:.0%}; of all comments {each.overall:.0%})."
                )
        return found


def find_leaks(rows: Sequence[LabelledComment], encodings: Mapping[str, str] | None = None) -> Leaks:
    """Examine the properties of records.

    Args:
        rows: comments of both labels.
        encodings: encoding of each file by its name, as it was read.
    """
    removed = np.array([row.removed for row in rows], bool)
    groups = [
        GroupLeak(name, count, auc)
        for name, values in _groups(rows, encodings or {}).items()
        if (count_and_auc := group_auc(values, removed)) is not None
        for count, auc in [count_and_auc]
    ]
    overall = float(removed.mean())
    marks = [
        MarkLeak(Rate(f"contain {name}", int(has.sum()), int((has & removed).sum())), overall)
        for name, has in _marks(rows).items()
        if has.sum() >= LEAST_COMMENTS
    ]
    return Leaks(tuple(sorted(groups, key=lambda each: -each.auc)), (*marks, *_word_leaks(rows, overall)))


def group_auc(values: Sequence[object], removed: Bools) -> tuple[int, float] | None:
    """Return the number of groups and the ROC AUC of their removal rates; None if there is one group only.

    The rate of a comment's group is estimated on the other folds, so that many small groups do not predict by chance.

    Args:
        values: group of each comment; groups of fewer than 20 comments are merged.
        removed: the labels, shape (comments,).
    """
    counts = Counter(values)
    kept = {value: number for number, value in enumerate(each for each in counts if counts[each] >= LEAST_COMMENTS)}
    code = np.array([kept.get(value, len(kept)) for value in values])
    groups = len(np.unique(code))
    if groups < 2:
        return None
    fold = np.random.default_rng(0).permutation(len(code)) % _FOLDS
    score = np.zeros(len(code))
    overall = float(removed.mean())
    for number in range(_FOLDS):
        others = fold != number
        size = np.bincount(code[others], minlength=len(kept) + 1)
        gone = np.bincount(code[others], removed[others], minlength=len(kept) + 1)
        score[~others] = ((gone + _PRIOR * overall) / (size + _PRIOR))[code[~others]]
    return groups, float(roc_auc_score(removed, score))


def _groups(rows: Sequence[LabelledComment], encodings: Mapping[str, str]) -> dict[str, list[object]]:
    part = max(-(-len(rows) // _PARTS), 2 * LEAST_COMMENTS)
    groups: dict[str, list[object]] = {
        "community": [row.comment.community for row in rows],
        "presence of an author": [row.comment.author_key is None for row in rows],
        "presence of a parent": [row.comment.parent_id is None for row in rows],
        "form of the id": [re.sub(r"[0-9]+", "0", row.comment.comment_id)[:40] for row in rows],
        "file": [row.origin.file if row.origin else "" for row in rows],
        "source encoding": [encodings.get(row.origin.file, "") if row.origin else "" for row in rows],
        "repair of the row": [row.origin.repair if row.origin else None for row in rows],
        "position among the rows": [index // part for index in range(len(rows))],
        "length": _length_groups([len(row.comment.body) for row in rows]),
    }
    times: dict[str, Callable[[int], object]] = {
        "hour of the day (UTC)": lambda time_us: time_us // HOUR_US % 24,
        "weekday (UTC)": lambda time_us: time_us // DAY_US % 7,
        "month": month_of,
        "second of the minute": lambda time_us: time_us // 1_000_000 % 60,
    }
    for name, of in times.items():
        groups[name] = [of(row.comment.event_time_us) if row.is_time_known else None for row in rows]
    return groups


def _length_groups(lengths: Sequence[int]) -> list[object]:
    values: NDArray[np.int64] = np.array(lengths, np.int64)
    parts = max(min(_LENGTH_PARTS, len(values) // (2 * LEAST_COMMENTS)), 1)
    borders = np.unique(np.quantile(values, np.arange(1, parts) / parts, method="higher"))
    return list(np.searchsorted(borders, values, side="left").tolist())


def _marks(rows: Sequence[LabelledComment]) -> dict[str, Bools]:
    return {
        name: np.array([pattern.search(row.comment.body) is not None for row in rows], bool)
        for name, pattern in _MARKS.items()
    }


def _word_leaks(rows: Sequence[LabelledComment], overall: float) -> list[MarkLeak]:
    """Return first and last words of bodies nearly all of which have one label, the most frequent first."""
    comments: Counter[tuple[str, str]] = Counter()
    removed: Counter[tuple[str, str]] = Counter()
    bodies: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for row in rows:
        text = normalised(row.comment.body)
        words = text.split(" ")
        if len(words) < 2:
            continue
        for key in (("begin", words[0]), ("end", words[-1])):
            comments[key] += 1
            removed[key] += row.removed
            if len(bodies[key]) < LEAST_BODIES:
                bodies[key].add(hash(text))
    leaks: list[MarkLeak] = []
    for key, count in comments.most_common():
        if count < LEAST_COMMENTS or len(leaks) == _MOST_WORDS:
            break
        if len(bodies[key]) < LEAST_BODIES:
            continue
        where, word = key
        leak = MarkLeak(Rate(f"{where} with “{word[:_WORD_CHARACTERS]}”", count, removed[key]), overall)
        is_common = count >= LEAST_KEPT_SHARE * len(rows)
        if leak.is_leak and (is_common or 2 * removed[key] > count):
            leaks.append(leak)
    return leaks
