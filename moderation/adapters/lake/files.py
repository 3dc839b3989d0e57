"""Lake files: manifest rows, and the names of files and temporary files.

    <lake>/<topic>/dt=2026-11-01/<topic>-<partition>-<first>-<last>-<id>-<digest>.parquet
    <lake>/<topic>/_temporary/<topic id>-<partition>-<first>-<token>.parquet

``id`` is the beginning of the topic's id, and ``digest`` the beginning of the file's SHA-256. So the files of a
re-created topic have other names, and a file that is written again under its name has the same bytes. Readers of Hive
partitions skip folders that begin with an underscore.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from moderation.contracts import NEWEST_RULES, Rules
from moderation.offsets import TopicPartition
from moderation.timestamps import DAY_US, day_start_us
from moderation.watermark import RunningMaximum

TOPIC_ID_CHARACTERS = 8
DIGEST_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A row of the manifest. The file contains every record of [first_offset, next_offset).

    Attributes:
        path: relative to the lake.
        topic_partition: partition of the records.
        first_offset: offset of its first record.
        next_offset: one after its last record.
        day: UTC day of the append time of all its records.
        rows: number of records; the other offsets are holes.
        bytes: size of the file.
        sha256: SHA-256 of the file, hexadecimal.
        min_append_us: smallest append time.
        max_append_us: largest append time.
        min_event_time_us: smallest event time (of actions: action time) of the records that parse; None if none does.
        max_event_time_us: largest event time; None likewise.
        event_days: UTC days of those times, in order; None for a file archived before the column existed.
        rules: rules by which the records were parsed.
        maximum_before: running maximum of event times before its first record, computed by the archive with these
            rules; None for actions, and for a file archived before the column existed.
        maximum_after: the same after its last record.
    """

    path: str
    topic_partition: TopicPartition
    first_offset: int
    next_offset: int
    day: date
    rows: int
    bytes: int
    sha256: str
    min_append_us: int
    max_append_us: int
    min_event_time_us: int | None
    max_event_time_us: int | None
    event_days: tuple[date, ...] | None = None
    rules: Rules = NEWEST_RULES
    maximum_before: RunningMaximum | None = None
    maximum_after: RunningMaximum | None = None

    def may_contain(self, start_us: int, end_us: int) -> bool:
        """Whether the file may contain a record with an event time in [start_us, end_us)."""
        if self.min_event_time_us is None or self.max_event_time_us is None:
            return False
        if self.min_event_time_us >= end_us or self.max_event_time_us < start_us:
            return False
        if self.event_days is None:
            return True
        return any(day_start_us(day) < end_us and start_us < day_start_us(day) + DAY_US for day in self.event_days)


@dataclass(frozen=True, slots=True)
class NamedFile:
    """The parts of a file name: beginning of the topic id, partition, and half-open offsets."""

    topic_id_prefix: str
    partition: int
    first_offset: int
    next_offset: int


def day_folder(topic: str, day: date) -> str:
    """The folder of a day, relative to the lake."""
    return f"{topic}/dt={day.isoformat()}"


def path_of(topic_partition: TopicPartition, day: date, first_offset: int, next_offset: int, sha256: str) -> str:
    """The path of a file, relative to the lake."""
    topic_id, digest = topic_partition.topic_id.hex[:TOPIC_ID_CHARACTERS], sha256[:DIGEST_CHARACTERS]
    offsets = f"{first_offset}-{next_offset - 1}"
    topic, partition = topic_partition.topic, topic_partition.partition
    return f"{day_folder(topic, day)}/{topic}-{partition}-{offsets}-{topic_id}-{digest}.parquet"


def parse_path(topic: str, path: str) -> NamedFile | None:
    """Parse a path; None if it is not the path of a lake file."""
    pattern = rf"{re.escape(topic)}/dt=[0-9-]+/{re.escape(topic)}-(\d+)-(\d+)-(\d+)-([0-9a-f]+)-[0-9a-f]+\.parquet"
    match = re.fullmatch(pattern, path)
    return None if match is None else NamedFile(match[4], int(match[1]), int(match[2]), int(match[3]) + 1)


def temporary_folder(topic: str) -> str:
    """The folder for temporary files of a topic, relative to the lake."""
    return f"{topic}/_temporary"


def is_temporary(path: str) -> bool:
    """Whether a path is that of a temporary file, which may be incomplete."""
    return "/_temporary/" in path


def temporary_prefix(topic_partition: TopicPartition) -> str:
    """The common prefix of the temporary files of a partition."""
    return f"{temporary_folder(topic_partition.topic)}/{topic_partition.topic_id.hex}-{topic_partition.partition}-"


def temporary_path(topic_partition: TopicPartition, first_offset: int, token: str) -> str:
    """The path of a temporary file, unique by its token."""
    return f"{temporary_prefix(topic_partition)}{first_offset}-{token}.parquet"
