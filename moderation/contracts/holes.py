"""Holes: offset ranges of a partition without a readable record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple


class HoleKind(StrEnum):
    """Why offsets contain no record."""

    MARKER = "marker"
    """The marker of a committed or aborted transaction."""
    ABORTED = "aborted"
    """Records of an aborted transaction."""
    DELETED = "deleted"
    """Records that were deleted between records that still exist, as compaction does."""
    UNREADABLE = "unreadable"
    """Lost records: their batch is damaged, unpacks to more than the limit, or is missing although the topic is not
    compacted."""


class Hole(NamedTuple):
    """Offsets [first, next) of a partition without a record.

    Attributes:
        partition: of the topic.
        first: first offset.
        next: one after the last offset.
        kind: the reason.
        append_us: append time of the batch that reveals it, microseconds since the epoch.
        cause: details for operators; empty if the kind suffices.
    """

    partition: int
    first: int
    next: int
    kind: HoleKind
    append_us: int
    cause: str = ""


def merged(holes: Iterable[Hole]) -> Iterator[Hole]:
    """Merge neighbouring holes of one kind and cause; holes are in order of partition and offset."""
    last: Hole | None = None
    for hole in holes:
        if last is not None and (last.partition, last.next, last.kind, last.cause) == (
            hole.partition,
            hole.first,
            hole.kind,
            hole.cause,
        ):
            last = last._replace(next=hole.next)
            continue
        if last is not None:
            yield last
        last = hole
    if last is not None:
        yield last


def without_compaction(hole: Hole) -> Hole:
    """Classify a hole of a topic that is not compacted: offsets missing between records are lost records."""
    if hole.kind is not HoleKind.DELETED:
        return hole
    return hole._replace(kind=HoleKind.UNREADABLE, cause="the log does not have them, and nothing compacts it")


def clipped(hole: Hole, first: int, end: int) -> Hole | None:
    """The part of a hole inside offsets [first, end); None if there is none."""
    lo, hi = max(hole.first, first), min(hole.next, end)
    return hole._replace(first=lo, next=hi) if lo < hi else None
