"""What stands between the ledger and its topic, and taking it on: recorded, by a person's word, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from moderation.adapters.sql.connecting import Connection
from moderation.errors import SourceRefused


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets [first_offset, next_offset) of a partition that the topic no longer has and the ledger never had."""

    partition: int
    first_offset: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class Standings:
    """Where the ledger stands on a topic's name.

    Attributes:
        topic: full name.
        next: for each id the topic had, for each partition the first offset not yet accounted for.
    """

    topic: str
    next: Mapping[UUID, Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class Difference:
    """What a person is asked to accept; nothing when both fields are empty.

    Attributes:
        gaps: in order of partitions.
        new_partitions: for each partition of a topic made anew, where its log starts.
    """

    gaps: tuple[Gap, ...] = ()
    new_partitions: Mapping[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.gaps or self.new_partitions)


def read_standings(connection: Connection, topic: str) -> Standings:
    """Read where the ledger stands. To be read before the topic: a worker may move on between the two."""
    rows = connection.execute(
        "SELECT topic_id, partition, next FROM speed.source_offsets WHERE topic = %s ORDER BY 1, 2", (topic,)
    ).fetchall()
    found: dict[UUID, dict[int, int]] = {}
    for topic_id, partition, following in rows:
        found.setdefault(topic_id, {})[partition] = following
    return Standings(topic, found)


def difference(standings: Standings, topic_id: UUID, ranges: Mapping[int, tuple[int, int]]) -> Difference:
    """Compare ledger and topic.

    Args:
        standings: read before the topic was looked at.
        topic_id: Kafka's id of the topic.
        ranges: for each partition the first offset the topic has, and its end.

    Raises:
        SourceRefused: the topic ends before offsets the ledger accounts for. No gap can say that.
    """
    if not standings.next:
        return Difference()
    if topic_id not in standings.next:
        return Difference(new_partitions={partition: first for partition, (first, _) in sorted(ranges.items())})
    gaps = []
    for partition, following in sorted(standings.next[topic_id].items()):
        first, end = ranges[partition]
        if following > end:
            raise SourceRefused(
                f"topic {standings.topic} partition {partition}",
                f"it ends at {end}, but the ledger accounts for offsets up to {following}: the topic lost records",
                "This cannot be accepted, for new records would take the places of old ones: restore the topic, or "
                "delete it, make it anew and accept that.",
            )
        if following < first:
            gaps.append(Gap(partition, following, first))
    return Difference(tuple(gaps))


def accept(
    connection: Connection, topic: str, topic_id: UUID, accepted: Difference, *, reason: str, now_us: int
) -> None:
    """Record gaps and move the partitions past them, or take a topic made anew on; all of it or nothing.

    Args:
        connection: to the ledger's database.
        topic: full name.
        topic_id: Kafka's id of the topic.
        accepted: what :func:`difference` found.
        reason: kept with each gap.
        now_us: kept as the time of acceptance.

    Raises:
        SourceRefused: a worker, or somebody else, moved a partition meanwhile; nothing was changed.
    """
    # In the order of partitions, like the workers: nobody waits in a circle.
    with connection.transaction():
        for gap in accepted.gaps:
            moved = connection.execute(
                "UPDATE speed.source_offsets SET next = %s WHERE topic_id = %s AND partition = %s AND next = %s",
                (gap.next_offset, topic_id, gap.partition, gap.first_offset),
            )
            _require_one(moved.rowcount, topic, gap.partition, f"it no longer stands at {gap.first_offset}")
            connection.execute(
                "INSERT INTO speed.gaps (topic_id, partition, first_offset, next_offset, accepted_us, reason) "
                "VALUES (%s, %s, %s, %s, %s, %s)",
                (topic_id, gap.partition, gap.first_offset, gap.next_offset, now_us, reason),
            )
        for partition, first in sorted(accepted.new_partitions.items()):
            made = connection.execute(
                "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
                "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (topic_id, partition, topic, first, first, first),
            )
            _require_one(made.rowcount, topic, partition, "it was taken on by somebody else")


def _require_one(count: int, topic: str, partition: int, cause: str) -> None:
    if count != 1:
        raise SourceRefused(
            f"topic {topic} partition {partition}",
            f"{cause}; nothing was changed",
            "Look again with `moderation accept-gap`.",
        )
