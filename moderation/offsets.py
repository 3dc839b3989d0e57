"""Offsets of partitions: ranges, gaps between log and ledger, and which offsets are archived next. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from moderation.errors import TopicRefused

Range = tuple[int, int]
"""Offsets, half-open."""


@dataclass(frozen=True, slots=True)
class TopicPartition:
    """A partition of a topic, as long as the topic is not made anew.

    Attributes:
        topic: full name.
        topic_id: Kafka's id of the topic.
        partition: its number.
    """

    topic: str
    topic_id: UUID
    partition: int

    def __str__(self) -> str:
        """How messages name it."""
        return f"topic {self.topic} partition {self.partition}"


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets [first_offset, next_offset) of a partition that the topic no longer has and the ledger never had."""

    partition: int
    first_offset: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class LedgerPositions:
    """Where the ledger stands on a topic's name.

    Attributes:
        topic: full name.
        next: for each id the topic had, for each partition the first offset not yet accounted for.
    """

    topic: str
    next: Mapping[UUID, Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class TopicChanges:
    """What a person is asked to accept; nothing when both fields are empty.

    Attributes:
        gaps: in order of partitions.
        new_partitions: for each partition of a topic made anew, where its log starts.
    """

    gaps: tuple[Gap, ...] = ()
    new_partitions: Mapping[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.gaps or self.new_partitions)


def uncovered(wanted: Range, covers: list[Range]) -> list[Range]:
    """The parts of a range that no other covers, in order.

    Args:
        wanted: offsets, half-open.
        covers: in any order; they may overlap.
    """
    missing, at = [], wanted[0]
    for first, following in sorted(cover for cover in covers if cover[0] < cover[1]):
        if first >= wanted[1] or at >= wanted[1]:
            break
        if first > at:
            missing.append((at, first))
        at = max(at, following)
    if at < wanted[1]:
        missing.append((at, wanted[1]))
    return missing


def find_topic_changes(
    positions: LedgerPositions, topic_id: UUID, ranges: Mapping[int, tuple[int, int]]
) -> TopicChanges:
    """Compare ledger and topic.

    Args:
        positions: read before the topic was looked at.
        topic_id: Kafka's id of the topic.
        ranges: for each partition the first offset the topic has, and its end.

    Raises:
        TopicRefused: the topic ends before offsets the ledger accounts for. No gap can say that.
    """
    if not positions.next:
        return TopicChanges()
    if topic_id not in positions.next:
        return TopicChanges(new_partitions={partition: first for partition, (first, _) in sorted(ranges.items())})
    gaps = []
    for partition, following in sorted(positions.next[topic_id].items()):
        first, end = ranges[partition]
        if following > end:
            raise TopicRefused(
                f"topic {positions.topic} partition {partition}",
                f"it ends at {end}, but the ledger accounts for offsets up to {following}: the topic lost records",
                "This cannot be accepted, for new records would take the places of old ones: restore the topic, or "
                "delete it, make it anew and accept that.",
            )
        if following < first:
            gaps.append(Gap(partition, following, first))
    return TopicChanges(tuple(gaps))


def next_range(
    topic_partition: TopicPartition, archived_end: int | None, log: Range, accepted: Sequence[Range]
) -> Range:
    """The offsets that are to be archived next.

    Args:
        topic_partition: whose.
        archived_end: one after the last archived offset; None when nothing is archived.
        log: the first offset that the log has, and its end.
        accepted: offsets that a person accepted as missing.

    Returns:
        Offsets, half-open; empty when there is nothing new.

    Raises:
        TopicRefused: the log begins after the archive's end and nobody accepted that, or it ends before it.
    """
    first, end = log
    if archived_end is None:
        return first, end
    if archived_end > end:
        raise TopicRefused(
            str(topic_partition),
            f"it ends at {end}, but the lake holds offsets up to {archived_end}: the topic lost records",
            "New records would take the places of archived ones: restore the topic, or make it anew.",
        )
    missing = uncovered((archived_end, first), list(accepted))
    if missing:
        ranges = ", ".join(f"[{one}, {following})" for one, following in missing)
        raise TopicRefused(
            str(topic_partition),
            f"retention overtook the archive: offsets {ranges} are gone from the topic and not in the lake",
            "`moderation accept-gap --lake --yes` records them as lost; then archive again.",
        )
    return max(archived_end, first), end
