"""The rules that read records: version and earliest event time, stored with the offset ranges they decided.

A change to the parsing of comments, or to the event-time rules, is a new ``RULES_VERSION``. The worker stores the first
offset of each version, as it does for models. The batch layer recomputes every offset by the rules that decided it, so
earlier versions are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from moderation.contracts.records import EARLIEST_EVENT_US, Comment, Repair, Verdict
from moderation.timestamps import day_start_us

RULES_VERSION = 2
"""1: every malformed record is a dead letter, and the watermark follows the largest event time.

2: a record with an id, a text and a plausible time is repaired, and an event time more than an hour ahead moves the
watermark only once a later comment with another id confirms it (:mod:`moderation.watermark`)."""


_CONFIRMING_VERSION = 2


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of an offset range.

    Attributes:
        version: 1 to ``RULES_VERSION``.
        earliest_event_us: event times before this are dead letters ``past_dated``; version 1 does not check.

    Raises:
        ValueError: this release does not know the version.
    """

    version: int = RULES_VERSION
    earliest_event_us: int = EARLIEST_EVENT_US

    @classmethod
    def since(cls, earliest: date) -> Rules:
        """The newest rules, accepting event times from the beginning of a UTC day on."""
        return cls(earliest_event_us=day_start_us(earliest))

    @property
    def confirms_jumps(self) -> bool:
        """Whether an event time more than an hour ahead needs a second comment to move the watermark."""
        return self.version >= _CONFIRMING_VERSION

    def __post_init__(self) -> None:
        if not 1 <= self.version <= RULES_VERSION:
            raise ValueError(f"rules version {self.version}: this release knows 1 to {RULES_VERSION}")


FIRST_RULES = Rules(1, 0)
"""Rules of offsets decided before rules had a version."""


class Read(NamedTuple):
    """The result of reading a record.

    Attributes:
        comment: the comment with repaired texts.
        repairs: distinct repairs, in the order of ``Repair``.
        ignored: number of unknown fields.
    """

    comment: Comment
    repairs: tuple[Repair, ...] = ()
    ignored: int = 0


def at_least_review(verdict: Verdict, repairs: Iterable[Repair]) -> Verdict:
    """Return the verdict on a comment with these repairs: at least review if its text was changed."""
    if verdict is Verdict.ALLOW and any(repair.changes_text for repair in repairs):
        return Verdict.REVIEW
    return verdict
