"""Archive one partition; remove files left by crashed archivers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

from batch.archive.report import PartitionOutcome, PartitionReport
from batch.progress import OnProgress
from batch.record_isolation import Failure
from moderation.adapters.kafka.topic_reader import LogRecord, TopicReader
from moderation.adapters.lake.file_boundaries import FileLimits, in_files
from moderation.adapters.lake.files import (
    TOPIC_ID_CHARACTERS,
    LakeFile,
    day_folder,
    parse_path,
    temporary_path,
    temporary_prefix,
)
from moderation.adapters.lake.manifest import (
    RangeTaken,
    add_file,
    add_holes,
    files,
    gaps_and_holes,
    has_file,
    maximum_at_end,
    note_read_to_end,
    partition_lock,
    read_archived_end,
)
from moderation.adapters.lake.schema import Columns
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.writer import write_file
from moderation.adapters.lake.written_paths import forget_written, note_writing, written_paths
from moderation.adapters.sql.action_letters import ActionLetter, add_action_letters
from moderation.adapters.sql.connection import Connection
from moderation.contracts import Hole, HoleKind, merged
from moderation.errors import InvalidRecord
from moderation.offsets import TopicPartition, next_range, uncovered
from moderation.timestamps import CLOCK_MARGIN_US, now_us

ArchivePoint = Literal["during_write", "before_rename", "before_manifest", "after_manifest"]


@dataclass(frozen=True, slots=True)
class ArchiveContext:
    """Resources that all partitions of a run share.

    Attributes:
        store: the lake.
        connection: to the manifest's database.
        limits: sizes at which files end.
        on_progress: receives one line at each step.
        fault_point: called at each named point; tests kill the process there.
        now_us: clock; the time is stored with each file.
        token: makes the name of a temporary file unique.
    """

    store: LakeStore
    connection: Connection
    limits: FileLimits
    on_progress: OnProgress
    fault_point: Callable[[ArchivePoint], None]
    now_us: Callable[[], int] = lambda: now_us()
    token: Callable[[], str] = lambda: uuid.uuid4().hex


class PartitionArchiver:
    """Archives one partition, once.

    Args:
        context: resources of the run.
        log: the topic.
        topic_partition: the partition.
        columns: of the topic's files.
        retention_ms: of the topic, in milliseconds; None without a limit.
    """

    def __init__(
        self,
        context: ArchiveContext,
        log: TopicReader,
        topic_partition: TopicPartition,
        columns: Columns,
        retention_ms: int | None = None,
    ) -> None:
        self._context = context
        self._log = log
        self._topic_partition = topic_partition
        self._columns = columns
        self._retention_ms = retention_ms
        self._holes: list[Hole] = []
        self._producer_times: list[int] = []

    def run(self, end_offset: int | None) -> PartitionReport:
        """Archive the offsets that are not archived yet.

        Args:
            end_offset: the offset to stop before; None for the present end of the log.

        Raises:
            TopicRefused: see :func:`moderation.offsets.next_range` and :meth:`TopicReader.records`.
        """
        context, topic_partition = self._context, self._topic_partition
        with partition_lock(context.connection, topic_partition) as holder:
            archived_end = read_archived_end(context.connection, topic_partition)
            if holder is not None:
                at = archived_end or 0
                return PartitionReport(
                    topic_partition.partition, at, at, PartitionOutcome.LEFT_TO_OTHER, note=f"{holder} is at work"
                )
            self._remove_temporary()
            asked_us, written_end = context.now_us(), self._written_end()
            log = self._log.range_of(topic_partition.partition)
            if archived_end is not None and log[1] < archived_end <= written_end:
                # An earlier version read records before their transaction ended.
                note = f"a transaction is open at offset {log[1]}, and offsets up to {archived_end} are archived"
                return PartitionReport(topic_partition.partition, archived_end, archived_end, note=note)
            lost = (archived_end or 0, log[0])
            first, end = next_range(
                topic_partition, archived_end, log, gaps_and_holes(context.connection, topic_partition, lost)
            )
            end = end if end_offset is None else max(first, min(end, end_offset))
            report = PartitionReport(topic_partition.partition, first, first)
            days: list[date] = []
            for day, records in in_files(self._records(report, end), context.limits):
                days.append(day)
                if not self._archive(report, day, records, end):
                    break
            else:
                self._add_holes(report)
            for day in dict.fromkeys(days):
                self._remove_covered(day)
            if report.next_offset >= written_end:
                note_read_to_end(context.connection, topic_partition, report.next_offset, asked_us - CLOCK_MARGIN_US)
        if self._producer_times:
            first, last = self._producer_times[0], self._producer_times[-1]
            report.note = f"records of offsets [{first}, {last}] have times that producers set, not the broker's"
        return report

    def _records(self, report: PartitionReport, end: int) -> Iterator[LogRecord]:
        """Yield the records; collect the holes between them, which are stored with the row of their file."""
        for entry in self._log.records(self._topic_partition.partition, report.first_offset, end):
            if report.seconds_left is None and self._retention_ms is not None:
                report.seconds_left = (entry.append_us - self._context.now_us()) / 1e6 + self._retention_ms / 1e3
            if isinstance(entry, Hole):
                self._holes.append(entry)
                if entry.kind is HoleKind.UNREADABLE:
                    self._context.on_progress(
                        f"{self._topic_partition}: offsets [{entry.first}, {entry.next}) cannot be read: {entry.cause}"
                    )
            else:
                if not entry.has_append_time:
                    self._producer_times = [*self._producer_times[:1], entry.offset]
                yield entry

    def _add_holes(self, report: PartitionReport) -> None:
        """Add the holes after the last record to the lake."""
        if self._holes:
            with self._context.connection.transaction():
                add_holes(self._context.connection, self._topic_partition, self._taken_holes())
            report.next_offset = (
                read_archived_end(self._context.connection, self._topic_partition) or report.next_offset
            )

    def _taken_holes(self) -> list[Hole]:
        holes, self._holes = list(merged(self._holes)), []
        return holes

    def _archive(self, report: PartitionReport, day: date, records: Iterator[LogRecord], end: int) -> bool:
        """Add one file to the lake; returns False if another archiver was faster."""
        context, topic_partition = self._context, self._topic_partition
        temporary = temporary_path(topic_partition, report.next_offset, context.token())
        note_writing(context.connection, temporary, context.now_us())
        written = report.rows

        def wrote_group(rows: int) -> None:
            nonlocal written
            written += rows
            context.on_progress(f"{topic_partition}: {written:,} of {end - report.first_offset:,} records")
            context.fault_point("during_write")

        unparsed: list[Failure] = []

        def failed(offset: int, error: str) -> None:
            unparsed.append(Failure(str(topic_partition.topic_id), topic_partition.partition, offset, error))

        letters: list[ActionLetter] = []

        def refused(record: LogRecord, error: InvalidRecord) -> None:
            if self._columns.keeps_letters:
                letters.append(ActionLetter.of(record.offset, record.append_us, error))

        file = write_file(
            context.store,
            temporary,
            topic_partition,
            self._columns,
            day,
            records,
            context.limits,
            wrote_group=wrote_group,
            failed=failed,
            refused=refused,
            maximum=maximum_at_end(context.connection, topic_partition) if self._columns.moves_watermark else None,
        )
        context.fault_point("before_rename")
        self._publish(temporary, file)
        context.fault_point("before_manifest")
        try:
            with context.connection.transaction():
                add_file(context.connection, file, context.now_us())
                add_action_letters(context.connection, topic_partition, letters, context.now_us())
                add_holes(context.connection, topic_partition, self._taken_holes())
                forget_written(context.connection, [temporary, file.path])
        except RangeTaken:
            self._withdraw(report, file, temporary)
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

    def _publish(self, temporary: str, file: LakeFile) -> None:
        """Give a finished file its name. A file that has it already, with equal bytes, stays as it is."""
        context = self._context
        is_there = context.store.size(file.path) is not None and not written_paths(context.connection, file.path)
        if is_there and context.store.sha256(file.path) == file.sha256:
            context.store.remove(temporary)  # another database may have written the file, so none of ours removes it
            return
        note_writing(context.connection, file.path, context.now_us())
        context.store.publish(temporary, file.path)

    def _withdraw(self, report: PartitionReport, file: LakeFile, temporary: str) -> None:
        context, topic_partition = self._context, self._topic_partition
        # The other archiver's file may be the same file: equal records have equal names.
        if not has_file(context.connection, file.path) and written_paths(context.connection, file.path):
            context.store.remove(file.path)
        forget_written(context.connection, [temporary, file.path])
        report.outcome = PartitionOutcome.OVERTAKEN
        report.next_offset = read_archived_end(context.connection, topic_partition) or report.next_offset
        report.note = f"another archiver's file with offsets of [{file.first_offset}, {file.next_offset}) came first"

    def _written_end(self) -> int:
        """Return the log end of the partition, open transactions included."""
        return self._log.written_ends([self._topic_partition.partition])[self._topic_partition.partition]

    def _remove_temporary(self) -> None:
        """Remove temporary files of earlier archivers of this partition; its lock guarantees that none is active."""
        for path in written_paths(self._context.connection, temporary_prefix(self._topic_partition)):
            if self._context.store.size(path) is not None:
                self._context.store.remove(path)
                self._context.on_progress(f"{self._topic_partition}: removed {path}, which a killed archiver left")
            forget_written(self._context.connection, [path])

    def _remove_covered(self, day: date) -> None:
        """Remove own files without a row whose offsets are all in files with a row. Others may be the only copy."""
        context, topic_partition = self._context, self._topic_partition
        paths = written_paths(context.connection, f"{day_folder(topic_partition.topic, day)}/")
        if not paths:
            return
        manifest_files = files(
            context.connection, topic_id=topic_partition.topic_id, partition=topic_partition.partition, day=day
        )
        covered = [(file.first_offset, file.next_offset) for file in manifest_files]
        for path in paths:
            named = parse_path(topic_partition.topic, path)
            if named is None or named.partition != topic_partition.partition:
                continue
            if named.topic_id_prefix == topic_partition.topic_id.hex[:TOPIC_ID_CHARACTERS] and not uncovered(
                (named.first_offset, named.next_offset), covered
            ):
                context.store.remove(path)
                forget_written(context.connection, [path])
                context.on_progress(f"{topic_partition}: removed {path}, which is in the lake under another name")
