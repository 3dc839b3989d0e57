"""Proof of replays: which records repeat a dead letter, by header and by bytes. Shared by worker and batch.

Anybody who can write to the source topic can write a header. So the header only names a dead letter; the proof is the
record's value, whose length and SHA-256 must be those of the dead letter, or those of a correction that an operator
stored with it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from moderation.contracts.records import REPLAY_OF

MAX_PARTITION = 2**31 - 1
"""Largest value of the ledger's ``partition integer``."""
MAX_OFFSET = 2**63 - 1
"""Largest value of the ledger's ``offset bigint``."""

# Canonical spellings only, so that every header has one meaning and its length is bounded.
_HEADER = re.compile(
    rb"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(0|[1-9][0-9]{0,9})/(0|[1-9][0-9]{0,18})", re.ASCII
)


class RecordPosition(NamedTuple):
    """The position of a record, e.g. of a dead letter: id of its topic, partition, offset."""

    topic_id: UUID
    partition: int
    offset: int

    def header(self) -> bytes:
        """The value of a header ``replay_of`` that names it: ``topic id/partition/offset``."""
        return f"{self.topic_id}/{self.partition}/{self.offset}".encode("ascii")


class Content(NamedTuple):
    """A record's value without its bytes: length in bytes and SHA-256 in hexadecimal."""

    length: int
    sha256: str

    @classmethod
    def of(cls, value: bytes) -> Content:
        """Length and digest of a value."""
        return cls(len(value), hashlib.sha256(value).hexdigest())


class ReplayOutcome(StrEnum):
    """What a header ``replay_of`` amounts to. Only ``closed`` changes a dead letter."""

    CLOSED = "closed"
    REPEATED = "repeated"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    MISMATCH = "mismatch"

    @property
    def is_ignored(self) -> bool:
        """Whether the record is no replay: its header proves nothing."""
        return self in (ReplayOutcome.MALFORMED, ReplayOutcome.UNKNOWN, ReplayOutcome.MISMATCH)


@dataclass(frozen=True, slots=True)
class LetterContents:
    """What a replay of one dead letter may contain.

    Attributes:
        original: the dead letter's own content.
        corrected: the content that an operator stored before sending it in place of the original; None without one.
        is_closed: whether a replay was decided before.
    """

    original: Content
    corrected: Content | None = None
    is_closed: bool = False

    def accepts(self, content: Content) -> bool:
        """Whether a value of this content is a replay of the dead letter."""
        return content in (self.original, self.corrected)


def parse_replay_of(header: bytes | None) -> RecordPosition | None:
    """Read the value of a header ``replay_of``.

    Returns:
        The position; None unless the header is one in canonical spelling, whose numbers fit the ledger's columns.
    """
    match = _HEADER.fullmatch(header) if header is not None else None
    if match is None:
        return None
    topic_id, partition, offset = UUID(match[1].decode("ascii")), int(match[2]), int(match[3])
    if partition > MAX_PARTITION or offset > MAX_OFFSET:
        return None
    return RecordPosition(topic_id, partition, offset)


def replay_headers(headers: Iterable[tuple[str, bytes | None]]) -> list[bytes | None]:
    """The values of all headers ``replay_of`` of a record, in order."""
    return [value for name, value in headers if name == REPLAY_OF]


def named_letter(headers: list[bytes | None]) -> RecordPosition | None:
    """The dead letter that a record's headers ``replay_of`` name; None unless there is one header and it is valid."""
    return parse_replay_of(headers[0]) if len(headers) == 1 else None


def replay_outcome(named: RecordPosition | None, content: Content, letter: LetterContents | None) -> ReplayOutcome:
    """Decide what a record with a header ``replay_of`` is.

    Args:
        named: see :func:`named_letter`.
        content: of the record's value.
        letter: what a replay of the named dead letter may contain; None if there is no such dead letter.
    """
    if named is None:
        return ReplayOutcome.MALFORMED
    if letter is None:
        return ReplayOutcome.UNKNOWN
    if not letter.accepts(content):
        return ReplayOutcome.MISMATCH
    return ReplayOutcome.REPEATED if letter.is_closed else ReplayOutcome.CLOSED
