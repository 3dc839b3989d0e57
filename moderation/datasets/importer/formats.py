"""Formats with a name: public data sets whose columns, units and gaps are known."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from moderation.datasets.importer.labels import LabelRule
from moderation.datasets.importer.mapping import ColumnMapping, TimeRule, normal


@dataclass(frozen=True, slots=True)
class Format:
    """A known format.

    Attributes:
        name: value of ``--format``.
        title: what it is.
        required: its columns, as :func:`moderation.datasets.importer.mapping.normal` writes them.
        mapping: its columns.
        only: whether a file with other columns is another format.
        community: community of all comments, if no column has it.
        makes_up_times: whether it has no times, so that they are made up without asking.
        id_prefix: what precedes the row number, or the value of the id column, in ids.
        encoding: encoding of files that are not UTF-8.
        note: what a user must know about it; empty for nothing.
    """

    name: str
    title: str
    required: frozenset[str]
    mapping: ColumnMapping
    only: bool = False
    community: str | None = None
    makes_up_times: bool = False
    id_prefix: str | None = None
    encoding: str | None = None
    note: str = ""


_TOXICITIES = ("severe_toxic", "obscene", "threat", "insult", "identity_hate")

FORMATS = {
    each.name: each
    for each in (
        Format(
            "rscience",
            "r/science export without times",
            frozenset(("x", "body", "removed")),
            ColumnMapping("BODY", LabelRule("REMOVED"), id="X"),
            only=True,
            community="science",
            makes_up_times=True,
            id_prefix="rscience-",
            encoding="iso-8859-1",
            note="It has no times: the comments are dated one minute apart, from 2018-01-01.",
        ),
        Format(
            "rscience-dated",
            "r/science export with times",
            frozenset("prev_idx body score parent_id id created_date retrieved_date removed".split()),
            ColumnMapping("body", LabelRule("removed"), TimeRule("created_date"), id="id", parent="parent_id"),
            only=True,
            community="science",
            encoding="iso-8859-1",
        ),
        Format(
            "comments",
            "comment records of this project",
            frozenset(("comment_id", "community", "body", "event_time_us")),
            ColumnMapping(
                *("body", None, TimeRule("event_time_us", "us"), "community", "comment_id", "author_key", "parent_id")
            ),
            note="Comment records have no labels; with labels, give the folder that also contains actions.jsonl.",
        ),
        Format(
            "pushshift",
            "Reddit dump (Pushshift, Arctic Shift)",
            frozenset(("id", "author", "subreddit", "created_utc", "body")),
            ColumnMapping("body", None, TimeRule("created_utc", "s"), "subreddit", "id", "author", "parent_id"),
            note="A Reddit dump has no labels, and the text of removed comments is gone.",
        ),
        Format(
            "jigsaw",
            "Jigsaw Toxic Comment Classification Challenge",
            frozenset(("id", "comment_text", "toxic", *_TOXICITIES)),
            ColumnMapping("comment_text", LabelRule("toxic", ">=", 0.5), id="id"),
            makes_up_times=True,
            note="It has no times: the comments are dated one minute apart, from 2018-01-01.",
        ),
        Format(
            "civil-comments",
            "Civil Comments, as on Kaggle",
            frozenset(("id", "target", "comment_text", "created_date")),
            ColumnMapping(
                *("comment_text", LabelRule("target", ">=", 0.5), TimeRule("created_date"), None, "id"),
                parent="parent_id",
            ),
        ),
        Format(
            "civil-comments-scores",
            "Civil Comments, texts and scores only",
            frozenset(("text", "toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack")),
            ColumnMapping("text", LabelRule("toxicity", ">=", 0.5)),
            makes_up_times=True,
            note="It has no times: the comments are dated one minute apart, from 2018-01-01.",
        ),
        Format(
            "youtube-spam",
            "YouTube Spam Collection",
            frozenset(("comment_id", "author", "date", "content", "class")),
            ColumnMapping("content", LabelRule("class"), TimeRule("date"), id="comment_id", author="author"),
        ),
        Format(
            "sms-spam",
            "SMS Spam Collection, as on Kaggle",
            frozenset(("v1", "v2")),
            ColumnMapping("v2", LabelRule("v1")),
            makes_up_times=True,
            note="It has no times: the comments are dated one minute apart, from 2018-01-01.",
        ),
    )
}
"""Known formats by name, in the order in which a file is compared with them."""


def detect(names: Collection[str]) -> Format | None:
    """Return the format that has these columns; None for none."""
    present = {normal(name) for name in names}
    for each in FORMATS.values():
        if each.required <= present and not (each.only and present - each.required - {""}):
            return each
    return None
