"""Which rules read a record: their version and their bound, stored with every stretch of offsets they decided.

A change to what is read as a comment, or to how event time counts it, is a new ``RULES_VERSION``. The worker notes
from which offset on a version decides, as it does for models; the batch layer recomputes every offset by the rules
that decided it. Earlier versions are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from moderation.contracts.records import EARLIEST_EVENT_US, Comment, Repair, Verdict
from moderation.timestamps import day_start_us

RULES_VERSION = 2
"""1: anything but a perfect record is a dead letter, and the watermark follows the largest event time. 2: what has an
id, a text and a believable time is repaired, and an event time more than an hour ahead moves the watermark only once a
later comment with another id confirms it (:mod:`moderation.watermark`)."""


_CONFIRMING_VERSION = 2


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules in force for a stretch of offsets.

    Attributes:
        version: 1 to ``RULES_VERSION``.
        earliest_event_us: event times before this are dead letters ``past_dated``; version 1 does not look.

    Raises:
        ValueError: this release does not know the version.
    """

    version: int = RULES_VERSION
    earliest_event_us: int = EARLIEST_EVENT_US

    @classmethod
    def since(cls, earliest: date) -> Rules:
        """The newest rules, with event times accepted from the beginning of a UTC day on."""
        return cls(earliest_event_us=day_start_us(earliest))

    @property
    def confirms_jumps(self) -> bool:
        """Whether an event time more than an hour ahead needs a second comment to move the watermark."""
        return self.version >= _CONFIRMING_VERSION

    def __post_init__(self) -> None:
        if not 1 <= self.version <= RULES_VERSION:
            raise ValueError(f"rules version {self.version}: this release knows 1 to {RULES_VERSION}")


FIRST_RULES = Rules(1, 0)
"""Rules of everything decided before rules had a version."""


class Read(NamedTuple):
    """A record as it was read.

    Attributes:
        comment: with repaired texts.
        repairs: without repetition, in the order of ``Repair``.
        ignored: how many fields of the record nobody knows.
    """

    comment: Comment
    repairs: tuple[Repair, ...] = ()
    ignored: int = 0


def at_least_review(verdict: Verdict, repairs: Iterable[Repair]) -> Verdict:
    """The verdict on a comment with these repairs: where its text was changed, a person must look."""
    if verdict is Verdict.ALLOW and any(repair.changes_text for repair in repairs):
        return Verdict.REVIEW
    return verdict
