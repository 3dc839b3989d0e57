"""What the lake's records of a day, or of any window, are worth: parsed, scored and told late or not once more."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from batch.reconcile.replays import IgnoredReplays, header_offsets, is_replay, position
from batch.reconcile.statements import VERDICTS
from moderation.adapters.lake.checking import check_file, reading_file
from moderation.adapters.lake.files import LakeFile
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.model_store import OpenModel
from moderation.adapters.sql.snapshot import Served, Snapshot
from moderation.bootstrap import version_opener
from moderation.contracts import MAX_FUTURE_US, Comment, LetterContents, Verdict, parse_record
from moderation.errors import ConfigurationError, InvalidRecord
from moderation.panes import late_flags
from moderation.settings import Settings
from moderation.text import KERNEL_VERSION

OpenVersion = Callable[[str], OpenModel]
Say = Callable[[str], None]
_BATCH_ROWS = 4_096
_ALONE_ROWS = 20_000
"""So many are done before other processes would have started."""
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
    ]
)
_NUMBER = {verdict: number for number, verdict in enumerate(VERDICTS)}


@dataclass(frozen=True, slots=True)
class Task:
    """One file of the lake.

    Attributes:
        file: which.
        start_us, end_us: the day or window, half-open.
        newest_before_us: the largest event time of all earlier records of the partition; None before the first.
        served: which version decided from which offset on.
        first_version: scores what comes before that.
        replays: for each offset of a replay that closed a dead letter what it must contain.
        decided_next: the ledger's end; headers of records from there on are not judged.
        quarantined: offsets of records that cannot be decided or stored, with the SHA-256 of their values. They are
            not scored, they move no watermark, and they are nobody's copies.
        unread_only: only records that could not be read when they were archived; the others are of other days.
    """

    file: LakeFile
    start_us: int
    end_us: int
    newest_before_us: int | None
    served: tuple[Served, ...]
    first_version: str
    replays: Mapping[int, LetterContents]
    decided_next: int
    quarantined: Mapping[int, str]
    unread_only: bool


def tasks_of(snapshot: Snapshot, resolve: Callable[[], str | None], store: LakeStore) -> list[Task]:
    """What is to be read for a snapshot's day or window.

    A record of another day matters only for the watermark, and the manifest has the largest event time of every file.
    A file of which no record is of the day is still looked through for records that nobody could read so far.

    Args:
        snapshot: whose ``served`` says which version scores what; where it says nothing, ``resolve`` does.
        resolve: gives the production version, for a partition that no version ever served.
        store: the lake; looked into for the event times of files that hold a record in quarantine.

    Raises:
        ConfigurationError: there are comments, and neither was any version ever served nor is one in production.
    """
    start_us, end_us = snapshot.start_us, snapshot.end_us
    tasks = []
    newest: dict[object, int] = {}
    for file in snapshot.manifest:
        is_of_day = file.min_event_time_us is not None and (
            file.min_event_time_us < end_us and (file.max_event_time_us or 0) >= start_us
        )
        # A comment is not dated later than five minutes after its append: earlier files have none of the day.
        if is_of_day or file.max_append_us >= start_us - MAX_FUTURE_US:
            served = tuple(snapshot.served.get(file.source, ()))
            tasks.append(
                Task(
                    file,
                    start_us,
                    end_us,
                    newest.get(file.source),
                    served,
                    _first_version(snapshot, served, resolve),
                    snapshot.replays.get(file.source, {}),
                    snapshot.cuts[file.source].next if file.source in snapshot.cuts else 0,
                    _of_file(snapshot, file),
                    unread_only=not is_of_day,
                )
            )
        known_us = newest.get(file.source, 0)
        if file.max_event_time_us is not None and file.max_event_time_us > known_us:
            newest[file.source] = max(known_us, _newest_us(snapshot, file, store) or 0)
    return tasks


def _of_file(snapshot: Snapshot, file: LakeFile) -> dict[int, str]:
    """The records in quarantine that a file holds."""
    own = snapshot.quarantined.get(file.source, {})
    return {offset: digest for offset, digest in own.items() if file.first_offset <= offset < file.next_offset}


def _newest_us(snapshot: Snapshot, file: LakeFile, store: LakeStore) -> int | None:
    """The largest event time of a file's records, without those in quarantine."""
    quarantined = _of_file(snapshot, file)
    if not quarantined:
        return file.max_event_time_us
    with reading_file(store, file) as opened:
        table = pq.read_table(opened, columns=["offset", "event_time_us"])
    is_in = pc.is_in(table["offset"], value_set=pa.array(list(quarantined), pa.int64()))
    found = pc.max(table.filter(pc.invert(is_in))["event_time_us"]).as_py()
    return None if found is None else int(found)


def _first_version(snapshot: Snapshot, served: Sequence[Served], resolve: Callable[[], str | None]) -> str:
    if served:
        return served[0].stamp.model_version
    others = [own[-1] for own in snapshot.served.values() if own]
    version = others[0].stamp.model_version if others else resolve()
    if version is None:
        raise ConfigurationError(
            f"topic {snapshot.topic}", "no model ever served it and none is in production", "Promote a model first."
        )
    return version


def rescore(tasks: Sequence[Task], settings: Settings, folder: Path, say: Say, processes: int | None = None) -> int:
    """Write what the records are worth as Parquet files, one for each task.

    Args:
        tasks: see :func:`tasks_of`.
        settings: where lake and registry are.
        folder: for the files.
        say: told how far it is.
        processes: how many work; if None one for each core, or this one alone where there is little to do.

    Returns:
        How many records are of the day.

    Raises:
        ModelRefused: a version that served does not verify, or is of another kernel version.
        LakeDamaged: a file is gone, or not what was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(SCHEMA.empty_table(), folder / "none.parquet")
    rows = sum(task.file.rows for task in tasks if not task.unread_only)
    done = found = 0
    for task, count in _results(
        tasks, settings, folder, processes or (1 if rows <= _ALONE_ROWS else os.cpu_count() or 1)
    ):
        done += 0 if task.unread_only else task.file.rows
        found += count
        say(f"scored {done:,} of {rows:,} records of the lake")
    return found


def _results(tasks: Sequence[Task], settings: Settings, folder: Path, processes: int) -> Iterator[tuple[Task, int]]:
    outputs = [folder / f"{number}.parquet" for number in range(len(tasks))]
    if processes == 1:
        rescorer = Rescorer(LakeStore(settings.lake_url), version_opener(settings))
        for task, output in zip(tasks, outputs, strict=True):
            yield task, rescorer.run(task, output)
        return
    # A process that is forked would inherit threads and connections in the middle of something.
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (settings,)) as pool:
        waiting = {pool.submit(_work, task, output): task for task, output in zip(tasks, outputs, strict=True)}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


_rescorer: Rescorer | None = None


def _begin(settings: Settings) -> None:
    global _rescorer
    _rescorer = Rescorer(LakeStore(settings.lake_url), version_opener(settings))


def _work(task: Task, output: Path) -> int:
    if _rescorer is None:
        raise RuntimeError("the process was not prepared")
    return _rescorer.run(task, output)


@dataclass(frozen=True, slots=True)
class _Row:
    """A comment of the day and its place."""

    offset: int
    comment: Comment
    is_late: bool
    is_quarantined: bool
    is_replay: bool = False


class Rescorer:
    """Does one task after another; models stay open.

    Args:
        store: the lake.
        open_version: opens a model version by its number.
    """

    def __init__(self, store: LakeStore, open_version: OpenVersion) -> None:
        self._store = store
        self._open_version = open_version
        self._models: dict[str, OpenModel] = {}

    def run(self, task: Task, output: Path) -> int:
        """Write one file's comments of the day; returns how many.

        Raises:
            LakeDamaged: the file is gone, or not what was written.
            ModelRefused: a version that served does not verify.
        """
        check_file(self._store, task.file, "size" if task.unread_only else "digest")
        count = 0
        ignored = IgnoredReplays()
        with pq.ParquetWriter(output, SCHEMA, compression="zstd") as writer:
            for rows in self._comments(task, ignored):
                if rows:
                    if task.unread_only and not count:
                        check_file(self._store, task.file)  # it is rare, and what is counted is what was written
                    writer.write_table(self._table(task, rows))
                    count += len(rows)
        ignored.write(output)
        return count

    def _comments(self, task: Task, ignored: IgnoredReplays) -> Iterator[list[_Row]]:
        newest_us = task.newest_before_us
        for batch in self._batches(task):
            offsets: list[int] = []
            comments: list[Comment] = []
            quarantined: list[_Row] = []
            replays: set[int] = set()
            for offset, append_us, value in zip(*(column.to_pylist() for column in batch.columns[:3]), strict=True):
                if _is_quarantined(task, offset, value or b""):
                    quarantined += _quarantined_row(offset, append_us, value or b"")
                    continue
                try:
                    comments.append(parse_record(value or b"", append_us))
                    offsets.append(offset)
                except InvalidRecord:
                    continue
                if task.replays and is_replay(task.replays, offset, value or b""):
                    replays.add(offset)
            times_us = np.array([comment.event_time_us for comment in comments], np.int64)
            late = np.zeros(len(comments), bool) if task.unread_only else late_flags(newest_us, times_us)
            if len(times_us):
                newest_us = max(int(times_us.max()), -1 if newest_us is None else newest_us)
            rows = [
                _Row(offset, comment, is_late, False, offset in replays)
                for offset, comment, is_late in zip(offsets, comments, late.tolist(), strict=True)
            ]
            if quarantined:
                rows = sorted([*rows, *quarantined], key=lambda row: row.offset)
            rows = [row for row in rows if task.start_us <= row.comment.event_time_us < task.end_us]
            named = {offset for offset in header_offsets(batch) if offset < task.decided_next} - replays
            for row in rows if named else ():
                if row.offset in named and not row.is_quarantined:
                    ignored.add(position(task.file.source, row.offset))
            yield rows

    def _batches(self, task: Task) -> Iterable[pa.RecordBatch]:
        columns = ["offset", "append_us", "value", "headers"]
        with reading_file(self._store, task.file) as opened:
            parquet = pq.ParquetFile(opened)
            if not task.unread_only:
                yield from parquet.iter_batches(_BATCH_ROWS, columns=columns)
                return
            for group in range(parquet.num_row_groups):
                # Values are read only where something was unreadable.
                if parquet.read_row_group(group, ["event_time_us"]).column(0).null_count:
                    for batch in parquet.iter_batches(_BATCH_ROWS, [group], columns=[*columns, "event_time_us"]):
                        yield batch.filter(pc.is_null(batch.column("event_time_us")))

    def _table(self, task: Task, rows: list[_Row]) -> pa.Table:
        offsets = np.array([row.offset for row in rows], np.int64)
        scores = np.empty(len(rows), np.int64)
        verdicts = np.empty(len(rows), np.int64)
        versions: list[tuple[str, str]] = []
        for version, first, end in _spans(task, offsets):
            model = self._model(version)
            part = model.kernel.score_many(["" if row.is_quarantined else row.comment.body for row in rows[first:end]])
            scores[first:end] = part
            verdicts[first:end] = [_NUMBER[verdict] for verdict in model.policy.verdicts(part)]
            versions += [(version, model.policy.policy_version)] * (end - first)
        in_quarantine = np.array([row.is_quarantined for row in rows])
        scores[in_quarantine], verdicts[in_quarantine] = 0, _NUMBER[Verdict.ALLOW]
        record_ids = [row.comment.record_id() for row in rows]
        source, count = task.file.source, len(rows)
        columns = [
            [str(source.topic_id)] * count,
            [source.partition] * count,
            offsets,
            [row.comment.event_time_us for row in rows],
            [row.comment.community for row in rows],
            [row.comment.comment_id for row in rows],
            np.frombuffer(b"".join(record_ids), "<i8").reshape(count, 4)[:, 0],
            record_ids,
            scores,
            verdicts,
            [row.is_late for row in rows],
            [row.is_replay for row in rows],
            [version for version, _ in versions],
            [policy for _, policy in versions],
            [KERNEL_VERSION] * count,
            in_quarantine,
        ]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)

    def _model(self, version: str) -> OpenModel:
        if version not in self._models:
            self._models[version] = self._open_version(version)
        return self._models[version]


def _is_quarantined(task: Task, offset: int, value: bytes) -> bool:
    """Whether a record is the one in quarantine, by its bytes; one that was put in its place is not."""
    return offset in task.quarantined and hashlib.sha256(value).hexdigest() == task.quarantined[offset]


def _quarantined_row(offset: int, append_us: int, value: bytes) -> list[_Row]:
    """The row of a record in quarantine; none where even reading it fails."""
    try:
        return [_Row(offset, parse_record(value, append_us), False, True)]
    except Exception:
        return []


def _spans(task: Task, offsets: NDArray[np.int64]) -> Iterator[tuple[str, int, int]]:
    """Which version scores which of the rows: version, first, end; rows are in the order of offsets."""
    edges = np.searchsorted(offsets, [each.from_offset for each in task.served])
    bounds = [0, *edges.tolist(), len(offsets)]
    names = [task.first_version, *(each.stamp.model_version for each in task.served)]
    for version, first, end in zip(names, bounds[:-1], bounds[1:], strict=True):
        if first < end:
            yield version, first, end
