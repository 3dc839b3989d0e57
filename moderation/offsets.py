"""Offset ranges: uncovered parts, gaps between topic and ledger, and the next range to archive. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from moderation.errors import TopicRefused

Range = tuple[int, int]
"""A half-open range of offsets."""


@dataclass(frozen=True, slots=True)
class TopicPartition:
    """A partition of a topic; a re-created topic has other ones.

    Attributes:
        topic: full name.
        topic_id: Kafka's id of the topic.
        partition: partition number.
    """

    topic: str
    topic_id: UUID
    partition: int

    def __str__(self) -> str:
        """The name in messages."""
        return f"topic {self.topic} partition {self.partition}"


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets [first_offset, next_offset) that the topic deleted before the ledger accounted for them."""

    partition: int
    first_offset: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class FormerGap:
    """Offsets [first_offset, next_offset) of a re-created topic's former id that only one layer has, for good.

    Attributes:
        topic_id: Kafka's id of the topic that is gone.
        partition: partition number.
        first_offset, next_offset: the range.
    """

    topic_id: UUID
    partition: int
    first_offset: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class LedgerPositions:
    """Positions of the ledger for a topic name.

    Attributes:
        topic: full name.
        next: first offset that is not accounted for, by topic id and partition.
    """

    topic: str
    next: Mapping[UUID, Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class TopicChanges:
    """Changes of a topic that an operator must accept; falsy if there are none.

    Attributes:
        gaps: deleted offsets, in order of partitions.
        new_partitions: log start by partition, if the topic was re-created.
    """

    gaps: tuple[Gap, ...] = ()
    new_partitions: Mapping[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.gaps or self.new_partitions)


def uncovered(wanted: Range, covers: list[Range]) -> list[Range]:
    """Return the parts of a range that no other range covers, in order.

    Args:
        wanted: the range.
        covers: other ranges, in any order; they may overlap.
    """
    missing, covered_to = [], wanted[0]
    for first, end in sorted(cover for cover in covers if cover[0] < cover[1]):
        if first >= wanted[1] or covered_to >= wanted[1]:
            break
        if first > covered_to:
            missing.append((covered_to, first))
        covered_to = max(covered_to, end)
    if covered_to < wanted[1]:
        missing.append((covered_to, wanted[1]))
    return missing


def find_topic_changes(
    positions: LedgerPositions, topic_id: UUID, ranges: Mapping[int, tuple[int, int]]
) -> TopicChanges:
    """Compare the positions of the ledger with the topic.

    Args:
        positions: read before the topic was.
        topic_id: Kafka's id of the topic.
        ranges: first offset and end of the topic, by partition.

    Raises:
        TopicRefused: the topic ends before offsets that the ledger accounts for; that is not a gap.
    """
    if not positions.next:
        return TopicChanges()
    if topic_id not in positions.next:
        return TopicChanges(new_partitions={partition: first for partition, (first, _) in sorted(ranges.items())})
    gaps = []
    for partition, next_offset in sorted(positions.next[topic_id].items()):
        first, end = ranges[partition]
        if next_offset > end:
            raise TopicRefused(
                f"topic {positions.topic} partition {partition}",
                f"it ends at {end}, but the ledger accounts for offsets up to {next_offset}: the topic lost records",
                "This cannot be accepted, because new records would reuse the offsets of old ones: restore the topic, "
                "or delete and re-create it and accept that.",
            )
        if next_offset < first:
            gaps.append(Gap(partition, next_offset, first))
    return TopicChanges(tuple(gaps))


def next_range(
    topic_partition: TopicPartition, archived_end: int | None, log: Range, accepted: Sequence[Range]
) -> Range:
    """Return the next range of offsets to archive.

    Args:
        topic_partition: the partition.
        archived_end: one after the last archived offset; None if nothing is archived.
        log: first offset and end of the log.
        accepted: missing offsets that an operator accepted.

    Returns:
        The range; empty if there is nothing new.

    Raises:
        TopicRefused: the log begins after the end of the archive and the gap is not accepted, or it ends before it.
    """
    first, end = log
    if archived_end is None:
        return first, end
    if archived_end > end:
        raise TopicRefused(
            str(topic_partition),
            f"it ends at {end}, but the lake contains offsets up to {archived_end}: the topic lost records",
            "New records would reuse the offsets of archived ones: restore the topic, or re-create it.",
        )
    missing = uncovered((archived_end, first), list(accepted))
    if missing:
        ranges = ", ".join(f"[{lo}, {hi})" for lo, hi in missing)
        raise TopicRefused(
            str(topic_partition),
            f"retention overtook the archive: offsets {ranges} are gone from the topic and not in the lake",
            "`moderation accept-gap --lake --yes` records them as lost; then archive again.",
        )
    return max(archived_end, first), end
