"""Report of an archive run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from batch.record_isolation import Failure, failure_fields


class PartitionOutcome(StrEnum):
    """Result of archiving one partition."""

    ARCHIVED = "archived"
    NOTHING_NEW = "nothing_new"
    LEFT_TO_OTHER = "left_to_other"
    """Another archiver was active on it; nothing was read."""
    OVERTAKEN = "overtaken"
    """Another archiver's file came first; this run's file was removed."""


@dataclass(slots=True)
class PartitionReport:
    """Report of one partition.

    Attributes:
        partition: its number.
        first_offset: first offset of this run; ranges are half-open.
        next_offset: end of the partition's offsets in the lake after the run.
        outcome: the result.
        files: how many this run added.
        rows: in them.
        bytes: of them.
        note: why the partition was not archived to its end, or a warning; empty otherwise.
        unparsed: records that cannot be parsed because of a defect, in order. Their bytes are in the lake, and the
            columns read out of them are null.
        dead_letters: actions of this run that cannot be read; those of comments are the worker's, and count 0 here.
        seconds_left: when the run read the oldest offset that was not archived: how long until the broker might have
            deleted it; None if there was none, or the topic's retention has no limit.
    """

    partition: int
    first_offset: int
    next_offset: int
    outcome: PartitionOutcome = PartitionOutcome.NOTHING_NEW
    files: int = 0
    rows: int = 0
    bytes: int = 0
    note: str = ""
    unparsed: list[Failure] = field(default_factory=list)
    dead_letters: int = 0
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class TopicReport:
    """Report of one topic: full name, Kafka's id, and its partitions in order."""

    topic: str
    topic_id: UUID
    partitions: list[PartitionReport] = field(default_factory=list)

    @property
    def locked_out(self) -> str | None:
        """Which partitions another archiver held and who it is; None if there is none."""
        locked = [each for each in self.partitions if each.outcome is PartitionOutcome.LEFT_TO_OTHER]
        if not locked:
            return None
        numbers = ", ".join(str(each.partition) for each in locked)
        return f"another archiver holds {self.topic}, partition {numbers}: {locked[0].note}"


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """Report of a whole run.

    Attributes:
        topics: in the order of the request.
        seconds: duration of the run.
    """

    topics: list[TopicReport]
    seconds: float

    def total(self, measure: str) -> int:
        """Return the sum of ``files``, ``rows``, ``bytes`` or ``dead_letters`` over all partitions."""
        return sum(getattr(each, measure) for topic in self.topics for each in topic.partitions)

    @property
    def skipped(self) -> str | None:
        """Why the run did nothing: another archiver held partitions, and this one added no file; None otherwise."""
        locked = [reason for topic in self.topics if (reason := topic.locked_out) is not None]
        return "; ".join(locked) if locked and not self.total("files") else None

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields; see ``moderation archive``."""
        return {
            "topics": [
                {
                    "topic": topic.topic,
                    "topic_id": str(topic.topic_id),
                    "partitions": [
                        {
                            "partition": each.partition,
                            "outcome": each.outcome.value,
                            "first_offset": each.first_offset,
                            "next_offset": each.next_offset,
                            "files": each.files,
                            "rows": each.rows,
                            "bytes": each.bytes,
                            "note": each.note,
                            "unparsed": failure_fields(each.unparsed),
                            "dead_letters": each.dead_letters,
                            "seconds_left": None if each.seconds_left is None else round(each.seconds_left, 1),
                        }
                        for each in topic.partitions
                    ],
                }
                for topic in self.topics
            ],
            "files": self.total("files"),
            "rows": self.total("rows"),
            "bytes": self.total("bytes"),
            "seconds": round(self.seconds, 2),
            "skipped": self.skipped,
        }
