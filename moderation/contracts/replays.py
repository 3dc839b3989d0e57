"""Verify replays of dead letters by header and content. Shared by worker and batch.

Every producer of the source topic can set a header, so the header only names a dead letter. The proof is the value: its
length and SHA-256 must be those of the dead letter, or of a correction that an operator stored with it.
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

# Only the canonical form, so that each position has one header of bounded length.
_HEADER = re.compile(
    rb"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(0|[1-9][0-9]{0,9})/(0|[1-9][0-9]{0,18})", re.ASCII
)


class RecordPosition(NamedTuple):
    """The position of a record: topic id, partition, offset."""

    topic_id: UUID
    partition: int
    offset: int

    def header(self) -> bytes:
        """The value of a header ``replay_of`` for this position: ``topic id/partition/offset``."""
        return f"{self.topic_id}/{self.partition}/{self.offset}".encode("ascii")


class Content(NamedTuple):
    """Length in bytes and SHA-256 (hexadecimal) of a value."""

    length: int
    sha256: str

    @classmethod
    def of(cls, value: bytes) -> Content:
        """Measure a value."""
        return cls(len(value), hashlib.sha256(value).hexdigest())


class ReplayOutcome(StrEnum):
    """The result of checking a header ``replay_of``. Only ``closed`` changes a dead letter."""

    CLOSED = "closed"
    REPEATED = "repeated"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    MISMATCH = "mismatch"

    @property
    def is_ignored(self) -> bool:
        """Whether the record is not a replay, so that its header is ignored."""
        return self in (ReplayOutcome.MALFORMED, ReplayOutcome.UNKNOWN, ReplayOutcome.MISMATCH)


@dataclass(frozen=True, slots=True)
class LetterContents:
    """The contents that a replay of a dead letter may have.

    Attributes:
        original: content of the dead letter.
        corrected: content of the correction that an operator stored before sending it; None without one.
        is_closed: whether a replay was decided before.
    """

    original: Content
    corrected: Content | None = None
    is_closed: bool = False

    def accepts(self, content: Content) -> bool:
        """Whether a value with this content is a replay of the dead letter."""
        return content in (self.original, self.corrected)


def parse_replay_of(header: bytes | None) -> RecordPosition | None:
    """Parse the value of a header ``replay_of``.

    Returns:
        The position; None unless the header has the canonical form and its numbers fit the columns of the ledger.
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
    """The dead letter that the headers ``replay_of`` name; None unless there is exactly one header and it is valid."""
    return parse_replay_of(headers[0]) if len(headers) == 1 else None


def replay_outcome(named: RecordPosition | None, content: Content, letter: LetterContents | None) -> ReplayOutcome:
    """Check a record with a header ``replay_of``.

    Args:
        named: the named dead letter, see :func:`named_letter`.
        content: content of the record's value.
        letter: contents that a replay of the named dead letter may have; None if there is no such dead letter.
    """
    if named is None:
        return ReplayOutcome.MALFORMED
    if letter is None:
        return ReplayOutcome.UNKNOWN
    if not letter.accepts(content):
        return ReplayOutcome.MISMATCH
    return ReplayOutcome.REPEATED if letter.is_closed else ReplayOutcome.CLOSED
