"""Archiving one partition: read, write, rename, manifest; and what is taken away of those who died on the way."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

from batch.archive.report import PartitionOutcome, PartitionReport
from batch.progress import OnProgress
from batch.record_isolation import Failure
from moderation.adapters.kafka.topic_reader import LogRecord, SourceLog
from moderation.adapters.lake.file_boundaries import Limits, in_files
from moderation.adapters.lake.files import (
    SOURCE_CHARACTERS,
    LakeFile,
    day_folder,
    parse_path,
    temporary_folder,
    temporary_path,
    temporary_prefix,
)
from moderation.adapters.lake.manifest import (
    RangeTaken,
    add_file,
    add_holes,
    end_of,
    explained,
    files,
    has_file,
    maximum_at_end,
    partition_lock,
)
from moderation.adapters.lake.schema import Columns
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.writer import write_file
from moderation.adapters.sql.action_letters import ActionLetter, add_action_letters
from moderation.adapters.sql.connection import Connection
from moderation.contracts import Hole, HoleKind, merged
from moderation.errors import InvalidRecord
from moderation.offsets import TopicPartition, next_range, uncovered
from moderation.timestamps import now_us

ArchivePoint = Literal["during_write", "before_rename", "before_manifest", "after_manifest"]


@dataclass(frozen=True, slots=True)
class ArchiveContext:
    """What all partitions of a run share.

    Attributes:
        store: the lake.
        connection: to the manifest's database.
        limits: how large files become.
        on_progress: receives one line at each step.
        fault_point: called at each named point; tests kill the process there.
        now_us: kept as the time a file was made.
        token: makes the name of a temporary file nobody else's.
    """

    store: LakeStore
    connection: Connection
    limits: Limits
    on_progress: OnProgress
    fault_point: Callable[[ArchivePoint], None]
    now_us: Callable[[], int] = lambda: now_us()
    token: Callable[[], str] = lambda: uuid.uuid4().hex


class PartitionArchiver:
    """Archives one partition, once.

    Args:
        place: what the run shares.
        log: the topic.
        source: the partition.
        columns: of the topic's files.
        retention_ms: of the topic, in milliseconds; None without a limit.
    """

    def __init__(
        self,
        context: ArchiveContext,
        log: SourceLog,
        source: TopicPartition,
        columns: Columns,
        retention_ms: int | None = None,
    ) -> None:
        self._context = context
        self._log = log
        self._source = source
        self._columns = columns
        self._retention_ms = retention_ms
        self._holes: list[Hole] = []
        self._producer_times: list[int] = []

    def run(self, upto: int | None) -> PartitionReport:
        """Archive what is new.

        Args:
            upto: an offset to stop before; None for the end of the log as it is now.

        Raises:
            SourceRefused: see :func:`batch.standing.next_range` and :meth:`SourceLog.records`.
        """
        context, source = self._context, self._source
        with partition_lock(context.connection, source) as holder:
            archived_end = end_of(context.connection, source)
            if holder is not None:
                at = archived_end or 0
                return PartitionReport(
                    source.partition, at, at, PartitionOutcome.LEFT_TO_OTHER, note=f"{holder} is at work"
                )
            self._remove_temporary()
            log = self._log.range_of(source.partition)
            if archived_end is not None and log[1] < archived_end <= self._written_end():
                # An earlier version read records before their transaction ended.
                note = f"a transaction is open at offset {log[1]}, and offsets up to {archived_end} are archived"
                return PartitionReport(source.partition, archived_end, archived_end, note=note)
            lost = (archived_end or 0, log[0])
            first, end = next_range(source, archived_end, log, explained(context.connection, source, lost))
            end = end if upto is None else max(first, min(end, upto))
            report = PartitionReport(source.partition, first, first)
            days: list[date] = []
            for day, records in in_files(self._records(report, end), context.limits):
                days.append(day)
                if not self._archive(report, day, records, end):
                    break
            else:
                self._add_holes(report)
            for day in dict.fromkeys(days):
                self._remove_covered(day)
        if self._producer_times:
            first, last = self._producer_times[0], self._producer_times[-1]
            report.note = f"records of offsets [{first}, {last}] have times that producers set, not the broker's"
        return report

    def _records(self, report: PartitionReport, end: int) -> Iterator[LogRecord]:
        """Records only; the holes among them wait for the row of their file."""
        for found in self._log.records(self._source.partition, report.first_offset, end):
            if report.seconds_left is None and self._retention_ms is not None:
                report.seconds_left = (found.append_us - self._context.now_us()) / 1e6 + self._retention_ms / 1e3
            if isinstance(found, Hole):
                self._holes.append(found)
                if found.kind is HoleKind.UNREADABLE:
                    self._context.on_progress(
                        f"{self._source}: offsets [{found.first}, {found.next}) cannot be read: {found.cause}"
                    )
            else:
                if not found.has_append_time:
                    self._producer_times = [*self._producer_times[:1], found.offset]
                yield found

    def _add_holes(self, report: PartitionReport) -> None:
        """Make the holes behind the last record part of the lake."""
        if self._holes:
            with self._context.connection.transaction():
                add_holes(self._context.connection, self._source, self._taken_holes())
            report.next_offset = end_of(self._context.connection, self._source) or report.next_offset

    def _taken_holes(self) -> list[Hole]:
        holes, self._holes = list(merged(self._holes)), []
        return holes

    def _archive(self, report: PartitionReport, day: date, records: Iterator[LogRecord], end: int) -> bool:
        """Make one file part of the lake; False when somebody else was faster."""
        context, source = self._context, self._source
        temporary = temporary_path(source, report.next_offset, context.token())
        written = report.rows

        def wrote_group(rows: int) -> None:
            nonlocal written
            written += rows
            context.on_progress(f"{source}: {written:,} of {end - report.first_offset:,} records")
            context.fault_point("during_write")

        unparsed: list[Failure] = []

        def failed(offset: int, error: str) -> None:
            unparsed.append(Failure(str(source.topic_id), source.partition, offset, error))

        letters: list[ActionLetter] = []

        def refused(record: LogRecord, error: InvalidRecord) -> None:
            if self._columns.keeps_letters:
                letters.append(ActionLetter.of(record.offset, record.append_us, error))

        file = write_file(
            context.store,
            temporary,
            source,
            self._columns,
            day,
            records,
            context.limits,
            wrote_group=wrote_group,
            failed=failed,
            refused=refused,
            maximum=maximum_at_end(context.connection, source) if self._columns.moves_watermark else None,
        )
        context.fault_point("before_rename")
        context.store.publish(temporary, file.path)
        context.fault_point("before_manifest")
        try:
            with context.connection.transaction():
                add_file(context.connection, file, context.now_us())
                add_action_letters(context.connection, source, letters, context.now_us())
                add_holes(context.connection, source, self._taken_holes())
        except RangeTaken:
            self._withdraw(report, file)
            return False
        context.fault_point("after_manifest")
        report.outcome = PartitionOutcome.ARCHIVED
        report.files += 1
        report.rows += file.rows
        report.bytes += file.bytes
        report.unparsed += unparsed
        report.dead_letters += len(letters)
        report.next_offset = file.next_offset
        return True

    def _withdraw(self, report: PartitionReport, file: LakeFile) -> None:
        context, source = self._context, self._source
        # The other's file may be this very one: equal records have equal names.
        if not has_file(context.connection, file.path):
            context.store.remove(file.path)
        report.outcome = PartitionOutcome.OVERTAKEN
        report.next_offset = end_of(context.connection, source) or report.next_offset
        report.note = f"another archiver's file with offsets of [{file.first_offset}, {file.next_offset}) came first"

    def _written_end(self) -> int:
        """The log end of the partition, open transactions included."""
        return self._log.written_ends([self._source.partition])[self._source.partition]

    def _remove_temporary(self) -> None:
        """Take away what archivers of this partition left: whoever holds it now is the only one."""
        prefix = temporary_prefix(self._source)
        for path in self._context.store.sizes(temporary_folder(self._source.topic)):
            if path.startswith(prefix):
                self._context.store.remove(path)
                self._context.on_progress(f"{self._source}: removed {path}, which a killed archiver left")

    def _remove_covered(self, day: date) -> None:
        """Take away files without a row whose every offset is in files with one; others may be all there is."""
        context, source = self._context, self._source
        own = files(context.connection, topic_id=source.topic_id, partition=source.partition, day=day)
        covers, known = [(file.first_offset, file.next_offset) for file in own], {file.path for file in own}
        for path in context.store.sizes(day_folder(source.topic, day)).keys() - known:
            named = parse_path(source.topic, path)
            if named is None or named.partition != source.partition:
                continue
            if named.source == source.topic_id.hex[:SOURCE_CHARACTERS] and not uncovered(
                (named.first_offset, named.next_offset), covers
            ):
                context.store.remove(path)
                context.on_progress(f"{source}: removed {path}, which is in the lake under another name")
