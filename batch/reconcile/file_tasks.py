"""Select the files of the lake for a day or interval, with all inputs for the recomputation of their records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.reconcile.running_maximum import MaximumWalk, RulesByOffset, rules_at
from batch.record_isolation import parse_failure
from moderation.adapters.lake.files import LakeFile
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.verification import reading_file
from moderation.adapters.reconciliation.snapshot import Snapshot
from moderation.contracts import MAX_FUTURE_US, DeadLetterReason, LetterContents, read_record
from moderation.errors import ConfigurationError, InvalidRecord
from moderation.ledger import Served
from moderation.offsets import TopicPartition
from moderation.watermark import MAX_STEP_US, NOTHING_SEEN, Reset, RunningMaximum

_BATCH_ROWS = 4_096
_COLUMN_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class FileTask:
    """One file of the lake to recompute, with the inputs that its records need.

    Attributes:
        file: the file.
        start_us, end_us: the day or interval, half-open.
        maximum_before: the running maximum of event times before the file's first record.
        resets: an operator's resets of the maximum at later offsets of the file.
        served: versions by the offset from which on they score.
        first_version: scores the records before the first of these offsets.
        rules: rules by the offset from which on they apply; the first applies from the file's beginning.
        replays: for each offset of a replay that closed a dead letter, the contents it must have.
        decided_next: the ledger's end; replay headers of records from this offset on are not checked.
        quarantined: offsets of records that cannot be decided or stored, with the SHA-256 of their values. They are
            not scored, they move no watermark, and they do not count as copies.
        letters: offsets with a dead letter in the ledger, with its reason and the version of the rules that refused the
            record; None if that is unknown, or if only the worker failed.
        has_reasons: whether to recompute the reasons of decisions.
        unread_only: recompute only records that could not be read when they were archived, and those with a dead
            letter; the others are of other days.
    """

    file: LakeFile
    start_us: int
    end_us: int
    maximum_before: RunningMaximum
    resets: tuple[Reset, ...]
    served: tuple[Served, ...]
    first_version: str
    rules: RulesByOffset
    replays: Mapping[int, LetterContents]
    decided_next: int
    quarantined: Mapping[int, str]
    letters: Mapping[int, tuple[str, int | None]]
    has_reasons: bool
    unread_only: bool


def plan_file_tasks(
    snapshot: Snapshot, resolve: Callable[[], str | None], store: LakeStore, *, version: str | None = None
) -> list[FileTask]:
    """Return the files to read for a snapshot's day or interval.

    Records of other days matter only for the watermark. The manifest contains the largest event time of every file, and
    the running maximum before and after the file as the archive computed it.
    A file without records of the day is still searched for records that could not be read so far.

    Args:
        snapshot: its ``served`` names the versions that score; ``resolve`` does if it is empty.
        resolve: returns the production version, for a partition that no version ever served.
        store: the lake. Event times are read from files that contain a quarantined record, that were archived by other
            rules than those that decided them, or before which the archive had another running maximum.
        version: scores all records, regardless of the version that served.

    Raises:
        ConfigurationError: there are comments, no version ever served, and there is no production version.
    """
    start_us, end_us = snapshot.start_us, snapshot.end_us
    tasks = []
    maxima: dict[TopicPartition, _PartitionMaximum] = {}
    for file in snapshot.manifest:
        decided = tuple(snapshot.served.get(file.topic_partition, ()))
        rules = _rules(decided, file)
        maximum = maxima.setdefault(file.topic_partition, _PartitionMaximum(snapshot, file.topic_partition, store))
        # An event time is at most five minutes after the append time, so earlier files contain no comment of the day.
        may_hold = file.max_append_us >= start_us - MAX_FUTURE_US
        is_of_day = file.min_event_time_us is not None and (
            file.min_event_time_us < end_us and (file.max_event_time_us or 0) >= start_us
        )
        # Other rules may give records event times that the manifest does not contain.
        is_of_day |= may_hold and not _is_exact(file, rules)
        if is_of_day or may_hold:
            served = decided if version is None else ()
            tasks.append(
                FileTask(
                    file,
                    start_us,
                    end_us,
                    maximum.before(file),
                    maximum.resets_inside(file),
                    served,
                    _first_version(snapshot, served, resolve) if version is None else version,
                    rules,
                    snapshot.replays.get(file.topic_partition, {}),
                    snapshot.cuts[file.topic_partition].next if file.topic_partition in snapshot.cuts else 0,
                    _quarantined_in(snapshot, file),
                    _letters_in(snapshot, file),
                    has_reasons=version is None,
                    unread_only=not is_of_day,
                )
            )
        maximum.add(file, rules)
    return tasks


class _PartitionMaximum:
    """The running maximum of a partition's event times, file by file.

    A file is read only if the manifest does not determine the maximum after it, and that maximum is needed.
    """

    def __init__(self, snapshot: Snapshot, source: TopicPartition, store: LakeStore) -> None:
        self._snapshot = snapshot
        self._store = store
        self._resets = tuple(snapshot.resets.get(source, ()))
        earlier = snapshot.earlier.get(source)
        self._state = NOTHING_SEEN if earlier is None else earlier.maximum
        self._passed_offset = -1 if earlier is None else earlier.next_offset - 1
        self._waiting: list[tuple[LakeFile, RulesByOffset]] = []

    def add(self, file: LakeFile, rules: RulesByOffset) -> None:
        """Add the next file."""
        self._waiting.append((file, rules))

    def before(self, file: LakeFile) -> RunningMaximum:
        """Return the running maximum before the first record of the next file."""
        for each, rules in self._waiting:
            self._pass(each, rules)
        self._waiting.clear()
        self._to(file.first_offset)
        return self._state

    def resets_inside(self, file: LakeFile) -> tuple[Reset, ...]:
        """Return the resets after a file's first record, up to its last."""
        return tuple(each for each in self._resets if file.first_offset < each.offset < file.next_offset)

    def _to(self, offset: int) -> None:
        for each in self._resets:
            if self._passed_offset < each.offset <= offset:
                self._state = RunningMaximum(each.newest_event_us)
        self._passed_offset = max(self._passed_offset, offset)

    def _pass(self, file: LakeFile, rules: RulesByOffset) -> None:
        self._to(file.first_offset)
        resets = self.resets_inside(file)
        quarantined = _quarantined_in(self._snapshot, file)
        state = None if resets else _by_manifest(self._state, file, rules, is_whole=not quarantined)
        if state is None:
            state = _by_reading(MaximumWalk(self._state, rules, resets), file, rules, quarantined, self._store)
        self._state = state
        self._passed_offset = file.next_offset - 1


def _by_manifest(
    state: RunningMaximum, file: LakeFile, rules: RulesByOffset, *, is_whole: bool
) -> RunningMaximum | None:
    """Return the running maximum after a file from the manifest's figures; None if they do not determine it.

    Args:
        state: before the file.
        file: without a reset after its first record.
        rules: that decided its records.
        is_whole: whether no record of it is in quarantine.
    """
    is_exact, newest_us = _is_exact(file, rules), state.newest_event_us
    bound_us = file.max_event_time_us if is_exact else file.max_append_us + MAX_FUTURE_US
    if bound_us is None or (newest_us is not None and bound_us <= newest_us):
        return state  # the file has no comment, or none that is newer
    if not is_exact or not is_whole:
        return None
    if not file.rules.confirms_jumps:
        return state.after(bound_us, "", file.rules)
    if file.maximum_after is not None and file.maximum_before == state:
        return file.maximum_after
    if newest_us is not None and bound_us <= newest_us + MAX_STEP_US:
        return state.after(bound_us, "", file.rules)  # each event time is within an hour of the maximum
    return None


def _by_reading(
    walk: MaximumWalk, file: LakeFile, rules: RulesByOffset, quarantined: Mapping[int, str], store: LakeStore
) -> RunningMaximum:
    """Return the running maximum after a file's records as they were decided, without those in quarantine."""
    with reading_file(store, file) as opened:
        parquet = pq.ParquetFile(opened)
        comments = _comments(parquet) if _is_exact(file, rules) else _parsed(parquet, rules)
        for offsets, times_us, comment_ids in comments:
            kept = [index for index, offset in enumerate(offsets) if offset not in quarantined]
            walk.advance_over(
                [offsets[index] for index in kept],
                np.array([times_us[index] for index in kept], np.int64),
                [comment_ids[index] for index in kept],
            )
    return walk.advance_to(file.next_offset - 1)


Comments = tuple[list[int], list[int], list[str]]
"""Offsets, event times and comment ids of comments in order."""


def _comments(parquet: pq.ParquetFile) -> Iterator[Comments]:
    """Yield the comments of a file as they were parsed when it was archived."""
    for batch in parquet.iter_batches(_COLUMN_ROWS, columns=["offset", "event_time_us", "comment_id"]):
        readable = batch.filter(pc.is_valid(batch.column("event_time_us")))
        offsets, times_us, comment_ids = (readable.column(name).to_pylist() for name in readable.schema.names)
        yield offsets, times_us, comment_ids


def _parsed(parquet: pq.ParquetFile, rules: RulesByOffset) -> Iterator[Comments]:
    """Yield the comments of a file as these rules parse their values."""
    for batch in parquet.iter_batches(_BATCH_ROWS, columns=["offset", "append_us", "value"]):
        offsets, times_us, comment_ids = [], [], []
        for offset, append_us, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            try:
                comment = read_record(value or b"", append_us, rules_at(rules, offset)).comment
            except InvalidRecord:
                continue
            except Exception as error:
                parse_failure(error, append_us)  # raises again if no record causes the error; the run names the record
                continue
            offsets.append(offset)
            times_us.append(comment.event_time_us)
            comment_ids.append(comment.comment_id)
        yield offsets, times_us, comment_ids


def _rules(served: Sequence[Served], file: LakeFile) -> RulesByOffset:
    """Return the rules that decided a file's records; the file's own rules if none were decided."""
    if not served:
        return ((file.first_offset, file.rules),)
    rules = [(file.first_offset, served[0].rules)]
    for each in served:
        if each.from_offset <= file.first_offset:
            rules[0] = file.first_offset, each.rules
        elif each.from_offset < file.next_offset and each.rules != rules[-1][1]:
            rules.append((each.from_offset, each.rules))
    return tuple(rules)


def _is_exact(file: LakeFile, rules: RulesByOffset) -> bool:
    """Whether a file's records were decided by the rules with which the manifest's figures were computed."""
    return all(each == file.rules for _, each in rules)


def _quarantined_in(snapshot: Snapshot, file: LakeFile) -> dict[int, str]:
    """Return the quarantined records of a file."""
    quarantined = snapshot.quarantined.get(file.topic_partition, {})
    return {offset: digest for offset, digest in quarantined.items() if file.first_offset <= offset < file.next_offset}


def _letters_in(snapshot: Snapshot, file: LakeFile) -> dict[int, tuple[str, int | None]]:
    """Return reason and version of the rules of each dead letter of a file."""
    letters = snapshot.letters.get(file.topic_partition, {})
    failed = DeadLetterReason.PROCESSING_FAILED
    return {
        offset: (letter.reason, None if letter.reason == failed else letter.rules_version)
        for offset, letter in letters.items()
        if file.first_offset <= offset < file.next_offset
    }


def _first_version(snapshot: Snapshot, served: Sequence[Served], resolve: Callable[[], str | None]) -> str:
    if served:
        return served[0].versions.model_version
    others = [versions[-1] for versions in snapshot.served.values() if versions]
    version = others[0].versions.model_version if others else resolve()
    if version is None:
        raise ConfigurationError(
            f"topic {snapshot.topic}", "no model ever served it and none is in production", "Promote a model first."
        )
    return version
