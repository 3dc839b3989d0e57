"""Recompute a day or interval from the lake: parse, score, classify lateness."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from batch.progress import OnProgress
from batch.reconcile.file_tasks import FileTask
from batch.reconcile.replays import IgnoredReplays, header_offsets, is_replay, position
from batch.reconcile.running_maximum import MaximumWalk, rules_at
from batch.reconcile.sql import VERDICTS
from batch.record_isolation import Failure, parse_failure, report_failures, score_each
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.verification import check_file, reading_file
from moderation.adapters.model_folder.folder import OpenModel
from moderation.bootstrap import deciding_version_opener, past_version_opener
from moderation.contracts import Read, Rules, Verdict, read_record
from moderation.errors import InvalidRecord, PastVersionRefused, ProcessDied
from moderation.ledger import Versions
from moderation.panes import late_flags
from moderation.settings import Settings
from moderation.text import KERNEL_VERSION

OpenVersion = Callable[[str], OpenModel]
_BATCH_ROWS = 4_096
_ALONE_ROWS = 20_000
"""Up to this number of records, one process is faster than starting others."""
SCHEMA = pa.schema(
    [
        ("topic_id", pa.string()),
        ("part", pa.int32()),
        ("pos", pa.int64()),
        ("event_us", pa.int64()),
        ("community", pa.string()),
        ("comment_id", pa.string()),
        ("record_hash", pa.int64()),
        ("record_id", pa.binary(32)),
        ("score", pa.int32()),
        ("verdict", pa.int32()),
        ("is_late", pa.bool_()),
        ("is_replay", pa.bool_()),
        ("model_version", pa.string()),
        ("policy_version", pa.string()),
        ("kernel_version", pa.string()),
        ("is_quarantined", pa.bool_()),
        ("repairs", pa.string()),
    ]
)
_NUMBER = {verdict: number for number, verdict in enumerate(VERDICTS)}


@dataclass(frozen=True, slots=True)
class RecomputeResult:
    """Result of a recomputation.

    Attributes:
        rows: number of records of the day.
        failures: records of the day that cannot be scored, and records appended on that day that cannot be parsed,
            because of a defect; in order of position.
        unopened: versions that decided and cannot be opened any more, with the reason.
    """

    rows: int
    failures: list[Failure]
    unopened: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _FileResult:
    rows: int
    failures: list[Failure]
    unopened: dict[str, str]


def recompute_files(
    tasks: Sequence[FileTask],
    settings: Settings,
    folder: Path,
    on_progress: OnProgress,
    processes: int | None = None,
    *,
    without_refused: bool = False,
) -> RecomputeResult:
    """Write the recomputed records as Parquet files, one for each task.

    A record that cannot be scored gets a row with score 0 and verdict ``allow``; one that cannot be parsed gets none.

    Args:
        tasks: see :func:`batch.reconcile.file_tasks.plan_file_tasks`.
        settings: where lake and registry are.
        folder: for the files.
        on_progress: receives one line at each step.
        processes: number of processes. If None, one for each core, or only this one for few records.
        without_refused: do not fail if a version of the past cannot be opened any more: its records get score 0 and
            verdict ``allow``, and the result names it.

    Raises:
        ModelRefused: a version that served does not verify, or has another kernel version.
        LakeDamaged: a file is missing or not what was written.
        ProcessDied: a process ended without an error; the message names the unfinished files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(SCHEMA.empty_table(), folder / "none.parquet")
    rows = sum(task.file.rows for task in tasks if not task.unread_only)
    done = rows_written = 0
    failures: list[Failure] = []
    unopened: dict[str, str] = {}
    processes = processes or (1 if rows <= _ALONE_ROWS else os.cpu_count() or 1)
    for task, result in _results(tasks, settings, folder, processes, without_refused):
        done += 0 if task.unread_only else task.file.rows
        rows_written += result.rows
        failures += result.failures
        unopened |= result.unopened
        on_progress(f"scored {done:,} of {rows:,} records of the lake")
    report_failures(sorted(failures), on_progress)
    return RecomputeResult(rows_written, sorted(failures), unopened)


def _new_recomputer(settings: Settings, without_refused: bool) -> FileRecomputer:
    opener = past_version_opener if without_refused else deciding_version_opener
    return FileRecomputer(LakeStore(settings.lake_url), opener(settings))


def _results(
    tasks: Sequence[FileTask], settings: Settings, folder: Path, processes: int, without_refused: bool
) -> Iterator[tuple[FileTask, _FileResult]]:
    outputs = [folder / f"{number}.parquet" for number in range(len(tasks))]
    if processes == 1:
        recomputer = _new_recomputer(settings, without_refused)
        for task, output in zip(tasks, outputs, strict=True):
            yield task, _FileResult(recomputer.run(task, output), recomputer.take_failures(), recomputer.unopened)
        return
    # A forked process would inherit threads and connections in an undefined state.
    with ProcessPoolExecutor(processes, get_context("spawn"), _start_process, (settings, without_refused)) as pool:
        waiting = {
            pool.submit(_run_in_process, task, output): task for task, output in zip(tasks, outputs, strict=True)
        }
        unfinished = dict.fromkeys(task.file.path for task in tasks)
        try:
            for future in as_completed(waiting):
                task, result = waiting[future], future.result()
                del unfinished[task.file.path]
                yield task, result
        except BrokenExecutor as error:
            raise ProcessDied(
                f"{len(unfinished)} files of the lake, the first {next(iter(unfinished))}",
                "a process that recomputed them ended without an error: it crashed or ran out of memory",
                "If it ends there again, a record is the cause: see docs/reconciliation.md, Records that fail.",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_recomputer: FileRecomputer | None = None


def _start_process(settings: Settings, without_refused: bool) -> None:
    global _recomputer
    _recomputer = _new_recomputer(settings, without_refused)


def _run_in_process(task: FileTask, output: Path) -> _FileResult:
    if _recomputer is None:
        raise RuntimeError("the process was not prepared")
    return _FileResult(_recomputer.run(task, output), _recomputer.take_failures(), _recomputer.unopened)


@dataclass(frozen=True, slots=True)
class _Row:
    """A comment of the day with its offset."""

    offset: int
    read: Read
    is_late: bool
    is_quarantined: bool
    is_replay: bool = False


class FileRecomputer:
    """Recomputes one file after another; models stay open.

    Args:
        store: the lake.
        open_version: opens a model version by its number.

    Attributes:
        unopened: versions for which ``open_version`` raised ``PastVersionRefused``, with the reason.
    """

    def __init__(self, store: LakeStore, open_version: OpenVersion) -> None:
        self._store = store
        self._open_version = open_version
        self._models: dict[str, OpenModel] = {}
        self._failures: list[Failure] = []
        self.unopened: dict[str, str] = {}

    def take_failures(self) -> list[Failure]:
        """Return the records that failed since the last call."""
        failures, self._failures = self._failures, []
        return failures

    def run(self, task: FileTask, output: Path) -> int:
        """Write one file's comments of the day; returns their number.

        Raises:
            LakeDamaged: the file is missing or not what was written.
            ModelRefused: a version that served does not verify.
        """
        check_file(self._store, task.file, "size" if task.unread_only else "digest")
        count = 0
        ignored = IgnoredReplays()
        with pq.ParquetWriter(output, SCHEMA, compression="zstd") as writer:
            for rows in self._comments(task, ignored):
                if rows:
                    if task.unread_only and not count:
                        check_file(self._store, task.file)  # rare; the rows must come from an undamaged file
                    writer.write_table(self._table(task, rows))
                    count += len(rows)
        ignored.write(output)
        return count

    def _comments(self, task: FileTask, ignored: IgnoredReplays) -> Iterator[list[_Row]]:
        walk = MaximumWalk(task.maximum_before, task.rules, task.resets)
        for batch in self._batches(task):
            offsets: list[int] = []
            reads: list[Read] = []
            quarantined: list[_Row] = []
            replays: set[int] = set()
            for offset, append_us, value in zip(*(column.to_pylist() for column in batch.columns[:3]), strict=True):
                if _is_quarantined(task, offset, value or b""):
                    quarantined += _quarantined_row(offset, append_us, value or b"", rules_at(task.rules, offset))
                    continue
                try:
                    reads.append(read_record(value or b"", append_us, rules_at(task.rules, offset)))
                    offsets.append(offset)
                except InvalidRecord:
                    continue
                except Exception as error:
                    cause = parse_failure(error, append_us)
                    if task.start_us <= append_us < task.end_us:
                        self._note(task, offset, cause)
                    continue
                if task.replays and is_replay(task.replays, offset, value or b""):
                    replays.add(offset)
            times_us = np.array([read.comment.event_time_us for read in reads], np.int64)
            if task.unread_only:
                late = np.zeros(len(reads), bool)
            else:
                late = late_flags(
                    walk.advance_over(offsets, times_us, [read.comment.comment_id for read in reads]), times_us
                )
            rows = [
                _Row(offset, read, is_late, False, offset in replays)
                for offset, read, is_late in zip(offsets, reads, late.tolist(), strict=True)
            ]
            if quarantined:
                rows = sorted([*rows, *quarantined], key=lambda row: row.offset)
            rows = [row for row in rows if task.start_us <= row.read.comment.event_time_us < task.end_us]
            named = {offset for offset in header_offsets(batch) if offset < task.decided_next} - replays
            for row in rows if named else ():
                if row.offset in named and not row.is_quarantined:
                    ignored.add(position(task.file.topic_partition, row.offset))
            yield rows

    def _batches(self, task: FileTask) -> Iterable[pa.RecordBatch]:
        columns = ["offset", "append_us", "value", "headers"]
        with reading_file(self._store, task.file) as opened:
            parquet = pq.ParquetFile(opened)
            if not task.unread_only:
                yield from parquet.iter_batches(_BATCH_ROWS, columns=columns)
                return
            for group in range(parquet.num_row_groups):
                # Values are read only from groups with unreadable records.
                if parquet.read_row_group(group, ["event_time_us"]).column(0).null_count:
                    for batch in parquet.iter_batches(_BATCH_ROWS, [group], columns=[*columns, "event_time_us"]):
                        yield batch.filter(pc.is_null(batch.column("event_time_us")))

    def _table(self, task: FileTask, rows: list[_Row]) -> pa.Table:
        offsets = np.array([row.offset for row in rows], np.int64)
        scores = np.empty(len(rows), np.int64)
        verdicts = np.empty(len(rows), np.int64)
        unscored = np.zeros(len(rows), bool)
        versions: list[Versions] = []
        record_ids = [row.read.comment.record_id() for row in rows]
        for served, first, end in _spans(task, offsets):
            version, model = served.model_version, self._model(served.model_version)
            if model is None:
                unscored[first:end] = True
                versions += [served] * (end - first)
                continue
            part, failed = score_each(
                model.kernel, ["" if row.is_quarantined else row.read.comment.body for row in rows[first:end]]
            )
            for index, cause in failed.items():
                self._note(task, rows[first + index].offset, cause)
                unscored[first + index] = True
            scores[first:end] = part
            repairs = [row.read.repairs for row in rows[first:end]]
            rulings = model.policy.decide(part, record_ids[first:end], repairs, model.exploration_key)
            verdicts[first:end] = [_NUMBER[ruling.verdict] for ruling in rulings]
            versions += [Versions(version, model.policy.policy_version, KERNEL_VERSION)] * (end - first)
        in_quarantine = np.array([row.is_quarantined for row in rows])
        unscored |= in_quarantine
        scores[unscored], verdicts[unscored] = 0, _NUMBER[Verdict.ALLOW]
        source, count = task.file.topic_partition, len(rows)
        columns = [
            [str(source.topic_id)] * count,
            [source.partition] * count,
            offsets,
            [row.read.comment.event_time_us for row in rows],
            [row.read.comment.community for row in rows],
            [row.read.comment.comment_id for row in rows],
            np.frombuffer(b"".join(record_ids), "<i8").reshape(count, 4)[:, 0],
            record_ids,
            scores,
            verdicts,
            [row.is_late for row in rows],
            [row.is_replay for row in rows],
            [each.model_version for each in versions],
            [each.policy_version for each in versions],
            [each.kernel_version for each in versions],
            in_quarantine,
            [",".join(row.read.repairs) for row in rows],
        ]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)

    def _note(self, task: FileTask, offset: int, cause: str) -> None:
        source = task.file.topic_partition
        self._failures.append(Failure(str(source.topic_id), source.partition, offset, cause))

    def _model(self, version: str) -> OpenModel | None:
        """Return a version; None if it is one of the past that cannot be opened any more."""
        if version not in self._models and version not in self.unopened:
            try:
                self._models[version] = self._open_version(version)
            except PastVersionRefused as refusal:
                self.unopened[version] = refusal.cause
        return self._models.get(version)


def _is_quarantined(task: FileTask, offset: int, value: bytes) -> bool:
    """Whether a record is the quarantined one, by its bytes; another record at the same offset is not."""
    return offset in task.quarantined and hashlib.sha256(value).hexdigest() == task.quarantined[offset]


def _quarantined_row(offset: int, append_us: int, value: bytes, rules: Rules) -> list[_Row]:
    """Return the row of a quarantined record; none if it cannot be read."""
    try:
        return [_Row(offset, read_record(value, append_us, rules), False, True)]
    except Exception:
        return []


def _spans(task: FileTask, offsets: NDArray[np.int64]) -> Iterator[tuple[Versions, int, int]]:
    """Yield versions, first row and end of the rows that each version scores; rows are in the order of offsets."""
    edges = np.searchsorted(offsets, [each.from_offset for each in task.served])
    bounds = [0, *edges.tolist(), len(offsets)]
    first_served = task.served[0].versions if task.served else Versions(task.first_version, "", "")
    first_version = replace(first_served, model_version=task.first_version)
    scoring = [first_version, *(each.versions for each in task.served)]
    for versions, first, end in zip(scoring, bounds[:-1], bounds[1:], strict=True):
        if first < end:
            yield versions, first, end
