"""Recompute a day or interval from the lake: parse, score, classify lateness."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from batch.reconcile.file_tasks import FileTask
from batch.reconcile.lake_letters import READABLE, LakeLetters
from batch.reconcile.replays import IgnoredReplays, header_offsets, is_replay, position
from batch.reconcile.running_maximum import MaximumWalk, rules_at
from batch.reconcile.sql import VERDICTS
from batch.record_isolation import Failure, parse_failure, reasons_each, score_each
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.verification import check_file, reading_file
from moderation.adapters.model_folder.folder import OpenModel
from moderation.adapters.reconciliation.row_digests import row_digest
from moderation.contracts import RULES_VERSION, Read, Rules, Verdict, read_record
from moderation.errors import InvalidRecord, PastVersionRefused
from moderation.ledger import Versions
from moderation.panes import late_flags
from moderation.text import KERNEL_VERSION

OpenVersion = Callable[[str], OpenModel]
_BATCH_ROWS = 4_096
SCHEMA = pa.schema(
    [
        ("topic_id", pa.string()),
        ("part", pa.int32()),
        ("pos", pa.int64()),
        ("event_us", pa.int64()),
        ("append_us", pa.int64()),
        ("community", pa.string()),
        ("comment_id", pa.string()),
        ("record_hash", pa.int64()),
        ("record_id", pa.binary(32)),
        ("score", pa.int32()),
        ("verdict", pa.int32()),
        ("reasons", pa.string()),
        ("is_late", pa.bool_()),
        ("is_replay", pa.bool_()),
        ("model_version", pa.string()),
        ("policy_version", pa.string()),
        ("kernel_version", pa.string()),
        ("is_quarantined", pa.bool_()),
        ("repairs", pa.string()),
        ("letter_holds", pa.bool_()),
        ("is_other_model", pa.bool_()),
        ("digest_upper", pa.int64()),
        ("digest_lower", pa.int64()),
    ]
)
_NUMBER = {verdict: number for number, verdict in enumerate(VERDICTS)}


@dataclass(frozen=True, slots=True)
class _Row:
    """A comment of the day with its offset."""

    offset: int
    append_us: int
    read: Read
    is_late: bool
    is_quarantined: bool
    is_replay: bool = False
    letter_holds: bool = False


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
        ignored, letters = IgnoredReplays(), LakeLetters(task.file.topic_partition)
        with pq.ParquetWriter(output, SCHEMA, compression="zstd") as writer:
            for rows in self._comments(task, ignored, letters):
                if rows:
                    if task.unread_only and not count:
                        check_file(self._store, task.file)  # rare; the rows must come from an undamaged file
                    writer.write_table(self._table(task, rows))
                    count += len(rows)
        ignored.write(output)
        letters.write(output)
        return count

    def _comments(self, task: FileTask, ignored: IgnoredReplays, letters: LakeLetters) -> Iterator[list[_Row]]:
        walk = MaximumWalk(task.maximum_before, task.rules, task.resets)
        for batch in self._batches(task):
            offsets: list[int] = []
            appends_us: list[int] = []
            reads: list[Read] = []
            quarantined: list[_Row] = []
            replays: set[int] = set()
            refused: set[int] = set()
            for offset, append_us, value in zip(*(column.to_pylist() for column in batch.columns[:3]), strict=True):
                rules = rules_at(task.rules, offset)
                is_of_day = task.start_us <= append_us < task.end_us
                is_letter = is_of_day and offset in task.letters
                own_rules = _rules_of_letter(task, offset, rules)
                if _is_quarantined(task, offset, value or b""):
                    quarantined += _quarantined_row(offset, append_us, value or b"", rules)
                    if is_letter:
                        letters.add(offset, append_us, value or b"", None)
                    continue
                try:
                    read = read_record(value or b"", append_us, rules)
                except InvalidRecord as error:
                    if is_of_day:
                        refusal: str | None = str(error.reason)
                        if own_rules is not None:
                            refusal = _refusal(value or b"", append_us, own_rules)
                        letters.add(offset, append_us, value or b"", refusal)
                    continue
                except Exception as error:
                    cause = parse_failure(error, append_us)
                    if is_of_day:
                        self._note(task, offset, cause)
                    if is_letter:
                        letters.add(offset, append_us, value or b"", None)
                    continue
                if own_rules is not None:
                    reason = _refusal(value or b"", append_us, own_rules)
                    if reason == task.letters[offset][0]:
                        refused.add(offset)
                    if is_letter:
                        letters.add(offset, append_us, value or b"", reason)
                elif is_letter:
                    letters.add(offset, append_us, value or b"", READABLE)
                reads.append(read)
                offsets.append(offset)
                appends_us.append(append_us)
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
                _Row(offset, append_us, read, is_late, False, offset in replays, offset in refused)
                for offset, append_us, read, is_late in zip(offsets, appends_us, reads, late.tolist(), strict=True)
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
            letters = pa.array(sorted(task.letters), pa.int64())
            for group in range(parquet.num_row_groups):
                # Values are read only from groups with unreadable records or dead letters.
                if pc.any(_is_wanted(parquet.read_row_group(group, ["offset", "event_time_us"]), letters)).as_py():
                    for batch in parquet.iter_batches(_BATCH_ROWS, [group], columns=[*columns, "event_time_us"]):
                        yield batch.filter(_is_wanted(batch, letters))

    def _table(self, task: FileTask, rows: list[_Row]) -> pa.Table:
        offsets = np.array([row.offset for row in rows], np.int64)
        scores = np.empty(len(rows), np.int64)
        verdicts = np.empty(len(rows), np.int64)
        unscored = np.zeros(len(rows), bool)
        versions: list[tuple[Versions, bool]] = []
        reasons = [""] * len(rows)
        record_ids = [row.read.comment.record_id() for row in rows]
        for served, first, end in _spans(task, offsets):
            model = self._model(served.model_version)
            if model is None:
                unscored[first:end] = True
                versions += [(served, False)] * (end - first)
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
            is_other = served.model_digest is not None and served.model_digest != model.model_digest
            scored_by = Versions(served.model_version, model.policy.policy_version, KERNEL_VERSION)
            versions += [(scored_by, is_other)] * (end - first)
            if task.has_reasons:
                alerted = [
                    first + number for number, ruling in enumerate(rulings) if ruling.verdict is not Verdict.ALLOW
                ]
                alerted = [index for index in alerted if not (rows[index].is_quarantined or unscored[index])]
                found, failed = reasons_each(model.kernel, [rows[index].read.comment.body for index in alerted])
                for number, index in enumerate(alerted):
                    reasons[index] = json.dumps(found[number], ensure_ascii=False)
                for number, cause in failed.items():
                    self._note(task, rows[alerted[number]].offset, cause)
                    unscored[alerted[number]] = True
        in_quarantine = np.array([row.is_quarantined for row in rows])
        unscored |= in_quarantine
        scores[unscored], verdicts[unscored] = 0, _NUMBER[Verdict.ALLOW]
        for index in unscored.nonzero()[0].tolist():
            reasons[index] = ""
        source, count = task.file.topic_partition, len(rows)
        columns = [
            [str(source.topic_id)] * count,
            [source.partition] * count,
            offsets,
            [row.read.comment.event_time_us for row in rows],
            [row.append_us for row in rows],
            [row.read.comment.community for row in rows],
            [row.read.comment.comment_id for row in rows],
            np.frombuffer(b"".join(record_ids), "<i8").reshape(count, 4)[:, 0],
            record_ids,
            scores,
            verdicts,
            reasons,
            [row.is_late for row in rows],
            [row.is_replay for row in rows],
            [each.model_version for each, _ in versions],
            [each.policy_version for each, _ in versions],
            [each.kernel_version for each, _ in versions],
            in_quarantine,
            [",".join(row.read.repairs) for row in rows],
            [row.letter_holds for row in rows],
            [is_other for _, is_other in versions],
            *_digests(rows, record_ids, scores, verdicts, reasons),
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


def _digests(
    rows: Sequence[_Row],
    record_ids: Sequence[bytes],
    scores: NDArray[np.int64],
    verdicts: NDArray[np.int64],
    reasons: Sequence[str],
) -> tuple[list[int], list[int]]:
    """Return the upper and lower halves of the digests of rows."""
    upper, lower = [], []
    for row, record_id, score, verdict, reason in zip(
        rows, record_ids, scores.tolist(), verdicts.tolist(), reasons, strict=True
    ):
        comment = row.read.comment
        first, second = row_digest(
            row.offset,
            comment.event_time_us,
            row.append_us,
            score,
            VERDICTS[verdict],
            comment.comment_id,
            record_id,
            reason,
        )
        upper.append(first)
        lower.append(second)
    return upper, lower


def _is_wanted(rows: pa.Table | pa.RecordBatch, letters: pa.Array) -> pa.Array:
    """Return for each record whether it was unreadable when it was archived, or has a dead letter."""
    return pc.or_(pc.is_null(rows["event_time_us"]), pc.is_in(rows["offset"], value_set=letters))


def _rules_of_letter(task: FileTask, offset: int, rules: Rules) -> Rules | None:
    """Return the rules that a dead letter names; None without one, or if it names those of its offset.

    A version that this release does not know refuses nothing, so that its letters count as wrong: see :func:`_refusal`.
    """
    version = task.letters.get(offset, ("", None))[1]
    if version is None or version == rules.version or not 1 <= version <= RULES_VERSION:
        return None
    return replace(rules, version=version)


def _refusal(value: bytes, append_us: int, rules: Rules) -> str | None:
    """Return why rules refuse a record; ``READABLE`` if they do not, None if reading it fails."""
    try:
        read_record(value, append_us, rules)
    except InvalidRecord as error:
        return str(error.reason)
    except Exception:
        return None
    return READABLE


def _is_quarantined(task: FileTask, offset: int, value: bytes) -> bool:
    """Whether a record is the quarantined one, by its bytes; another record at the same offset is not."""
    return offset in task.quarantined and hashlib.sha256(value).hexdigest() == task.quarantined[offset]


def _quarantined_row(offset: int, append_us: int, value: bytes, rules: Rules) -> list[_Row]:
    """Return the row of a quarantined record; none if it cannot be read."""
    try:
        return [_Row(offset, append_us, read_record(value, append_us, rules), False, True)]
    except Exception:
        return []


def _spans(task: FileTask, offsets: NDArray[np.int64]) -> Iterator[tuple[Versions, int, int]]:
    """Yield versions, first row and end of the rows that each version scores; rows are in the order of offsets.

    Where the ledger does not name a version, that of the task scores, and the digest of its model is unknown.
    """
    edges = np.searchsorted(offsets, [each.from_offset for each in task.served])
    bounds = [0, *edges.tolist(), len(offsets)]
    first_served = task.served[0].versions if task.served else Versions(task.first_version, "", "")
    first_version = replace(first_served, model_version=task.first_version, model_digest=None)
    scoring = [first_version, *(each.versions for each in task.served)]
    for versions, first, end in zip(scoring, bounds[:-1], bounds[1:], strict=True):
        if first < end:
            yield versions, first, end
