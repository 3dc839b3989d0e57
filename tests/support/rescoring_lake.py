"""Lake on disk with its snapshot, for tests of recomputation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq

from batch.reconcile.file_tasks import FileTask, plan_file_tasks
from batch.reconcile.recompute import SCHEMA, FileRecomputer
from batch.record_isolation import Failure
from moderation.adapters.kafka.topic_reader import LogRecord
from moderation.adapters.lake.file_boundaries import FileLimits, in_files
from moderation.adapters.lake.files import LakeFile, temporary_path
from moderation.adapters.lake.schema import Columns, columns_of
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.writer import write_file
from moderation.adapters.model_folder.folder import OpenModel, open_model
from moderation.adapters.reconciliation.snapshot import Cut, Snapshot
from moderation.contracts import Comment, LetterContents, to_json
from moderation.errors import InvalidRecord
from moderation.ledger import Served, Versions
from moderation.offsets import TopicPartition
from moderation.policy import ExplorationKeys, Policy
from moderation.text import KERNEL_VERSION, Lexicon
from moderation.timestamps import day_bounds_us
from moderation.watermark import NOTHING_SEEN, Reset

DAY_US = 1_700_006_400_000_000
DAY, DAY_BEFORE, DAY_AFTER = date(2023, 11, 15), date(2023, 11, 14), date(2023, 11, 16)
MINUTE_US, HOUR_US, WHOLE_DAY_US = 60_000_000, 3_600_000_000, 86_400_000_000
SOURCES = [TopicPartition("comments", UUID(int=0xA), partition) for partition in range(2)]
SMALL = FileLimits(file_rows=7, group_rows=3)
MAX_BYTES = 64 * 1024 * 1024
POLICIES = {"1": Policy(400_000, 900_000, ("recall>=0.8",)), "2": Policy(100_000, 500_000, ("recall>=0.9",))}
BODIES = ("Nice study, thanks {}.", "you idiot!!! {}", "FREE money at http://spam.example/{}", "Source? {}")
REFUSED = b"refused by the parser of then"


def refusing(value: bytes, append_us: int) -> tuple[Any, ...]:
    """Parse as an older parser that accepts fewer records."""
    if REFUSED in value:
        raise InvalidRecord("not_json", "it is of a later producer")
    return columns_of("comments").read(value, append_us)


THEN = Columns(columns_of("comments").schema, "event_time_us", refusing)


def comment(number: int, event_us: int, body: str | None = None) -> Comment:
    text = BODIES[number % 4].format(number) if body is None else body
    return Comment(f"c{number}", ("science", "cooking")[number % 2], text, event_us)


def record(
    offset: int, append_us: int, value: Comment | bytes, headers: Sequence[tuple[str, bytes | None]] = ()
) -> LogRecord:
    raw = value if isinstance(value, bytes) else to_json(value)
    return LogRecord(offset, append_us, b"key", raw, list(headers))


class LakeOfATest:
    """Logs, their archived files and the snapshot of both."""

    def __init__(self, folder: Path, models: dict[str, Path], keys: ExplorationKeys | None = None) -> None:
        self.folder = folder
        self.store = LakeStore(str(folder / "lake"))
        self.models = models
        self.keys = keys or ExplorationKeys()
        self.manifest: list[LakeFile] = []
        self.served = {source: [(0, "1")] for source in SOURCES}
        self.replays: dict[TopicPartition, dict[int, LetterContents]] = {}
        self.cuts: dict[TopicPartition, Cut] = {}
        self.quarantined: dict[TopicPartition, dict[int, str]] = {}
        self.resets: dict[TopicPartition, list[Reset]] = {}
        self.opened: list[str] = []
        self.failures: list[Failure] = []

    def archive(
        self,
        records: Sequence[LogRecord],
        source: TopicPartition = SOURCES[0],
        limits: FileLimits = SMALL,
        maxima: bool = True,
    ) -> None:
        """Archive records with the results of the older parser; without maxima like old files."""
        for day, own in in_files(records, limits):
            group = list(own)
            temporary = temporary_path(source, group[0].offset, "token")
            before = [each.maximum_after for each in self.manifest if each.topic_partition == source]
            maximum = (before[-1] if before else NOTHING_SEEN) if maxima else None
            file = write_file(self.store, temporary, source, THEN, day, group, limits, maximum=maximum)
            self.store.publish(temporary, file.path)
            self.manifest.append(file)

    def snapshot(self, day: date = DAY) -> Snapshot:
        """Return the snapshot that PostgreSQL would give."""
        served = {
            source: [
                Served(first, Versions(version, POLICIES[version].policy_version, KERNEL_VERSION))
                for first, version in own
            ]
            for source, own in self.served.items()
        }
        bounds_us, known = day_bounds_us(day), (self.replays, self.quarantined)
        return Snapshot("comments", *bounds_us, self.manifest, self.cuts, served, {}, *known, resets=self.resets)

    def tasks(self, day: date = DAY, resolve: Callable[[], str | None] = lambda: None) -> list[FileTask]:
        """Return the file tasks of the day."""
        return plan_file_tasks(self.snapshot(day), resolve, self.store)

    def open_version(self, version: str) -> OpenModel:
        """Return the model of a version and record the call."""
        self.opened.append(version)
        opened = open_model(self.models[version], Lexicon(), MAX_BYTES)
        return replace(opened, exploration_key=self.keys.of(opened.policy.exploration, f"version {version}"))

    def rows(self, day: date = DAY, tasks: Iterable[FileTask] | None = None) -> list[dict[str, Any]]:
        """Return the rows that one process computes from the tasks, in order."""
        recomputer, found = FileRecomputer(self.store, self.open_version), []
        for number, task in enumerate(self.tasks(day) if tasks is None else tasks):
            output = self.folder / f"{day}-{number}.parquet"
            count = recomputer.run(task, output)
            table = pq.read_table(output)
            assert table.schema == SCHEMA
            assert len(table) == count
            found += table.to_pylist()
        self.failures = recomputer.take_failures()
        return found


def readable_today(number: int, event_us: int) -> Comment:
    return comment(number, event_us, REFUSED.decode())


def wandering(random: Random, count: int) -> list[LogRecord]:
    """Return a log around two midnights with event times from one hour before to 4 minutes after the append."""
    append_us = DAY_US - 2 * HOUR_US
    records = []
    for offset in range(count):
        append_us += random.choice((0, MINUTE_US, 70 * MINUTE_US))
        event_us = append_us - random.choice((-4, 0, 1, 9, 11, 16, 60)) * MINUTE_US - random.randint(0, 1)
        records.append(record(offset, append_us, b"nonsense" if offset % 9 == 4 else comment(offset, event_us)))
    return records
