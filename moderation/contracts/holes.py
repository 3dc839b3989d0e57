"""Offsets of a topic that hold no record anybody can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple


class HoleKind(StrEnum):
    """Why offsets hold no record."""

    MARKER = "marker"
    """A broker's note that a transaction was committed or aborted."""
    ABORTED = "aborted"
    """Records of a transaction that was aborted: its producer took them back."""
    DELETED = "deleted"
    """Taken out of the log between records that are still there, as compaction does."""
    UNREADABLE = "unreadable"
    """Records that were lost: their batch is damaged, unpacks to more than the limit, or is gone and nothing compacts
    the topic."""


class Hole(NamedTuple):
    """Offsets [first, next) of a partition without a record.

    Attributes:
        partition: of the topic.
        first: first offset.
        next: one after the last offset.
        kind: why.
        append_us: append time of the batch that shows it, microseconds since the epoch.
        cause: what an operator is told; empty where the kind says it all.
    """

    partition: int
    first: int
    next: int
    kind: HoleKind
    append_us: int
    cause: str = ""


def merged(holes: Iterable[Hole]) -> Iterator[Hole]:
    """Holes in order of partition and offset, with neighbours of one kind and cause as one."""
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
    """A hole of a topic that nothing compacts: offsets that are gone between records were lost there."""
    if hole.kind is not HoleKind.DELETED:
        return hole
    return hole._replace(kind=HoleKind.UNREADABLE, cause="the log does not have them, and nothing compacts it")


def clipped(hole: Hole, first: int, following: int) -> Hole | None:
    """The part of a hole inside offsets [first, following); None if there is none."""
    lo, hi = max(hole.first, first), min(hole.next, following)
    return hole._replace(first=lo, next=hi) if lo < hi else None
