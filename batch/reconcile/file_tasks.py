"""Which files of the lake are read for a day or a window, and what decides what their records are worth."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.isolation import parse_failure
from moderation.adapters.lake.checking import reading_file
from moderation.adapters.lake.files import LakeFile, Source
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.sql.snapshot import Served, Snapshot
from moderation.contracts import MAX_FUTURE_US, LetterContents, Rules, read_record
from moderation.errors import ConfigurationError, InvalidRecord

RulesByOffset = tuple[tuple[int, Rules], ...]
"""By which rules records are read, from which offset on, in order."""
_BATCH_ROWS = 4_096


@dataclass(frozen=True, slots=True)
class Task:
    """One file of the lake.

    Attributes:
        file: which.
        start_us, end_us: the day or window, half-open.
        newest_before_us: the largest event time of all earlier records of the partition; None before the first.
        served: which version scores from which offset on.
        first_version: scores what comes before that.
        rules: which rules read from which offset on; the first from the file's beginning.
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
    rules: RulesByOffset
    replays: Mapping[int, LetterContents]
    decided_next: int
    quarantined: Mapping[int, str]
    unread_only: bool


def tasks_of(
    snapshot: Snapshot, resolve: Callable[[], str | None], store: LakeStore, *, version: str | None = None
) -> list[Task]:
    """What is to be read for a snapshot's day or window.

    A record of another day matters only for the watermark, and the manifest has the largest event time of every file.
    A file of which no record is of the day is still looked through for records that nobody could read so far.

    Args:
        snapshot: whose ``served`` says which version scores what; where it says nothing, ``resolve`` does.
        resolve: gives the production version, for a partition that no version ever served.
        store: the lake; looked into for the event times of files that hold a record in quarantine, or that were
            archived by other rules than those that decided them.
        version: scores everything, whichever served.

    Raises:
        ConfigurationError: there are comments, and neither was any version ever served nor is one in production.
    """
    start_us, end_us = snapshot.start_us, snapshot.end_us
    tasks = []
    newest: dict[Source, _Newest] = {}
    for file in snapshot.manifest:
        decided = tuple(snapshot.served.get(file.source, ()))
        rules = _rules(decided, file)
        known = newest.setdefault(file.source, _Newest(snapshot, store))
        # A comment is not dated later than five minutes after its append: earlier files have none of the day.
        may_hold = file.max_append_us >= start_us - MAX_FUTURE_US
        is_of_day = file.min_event_time_us is not None and (
            file.min_event_time_us < end_us and (file.max_event_time_us or 0) >= start_us
        )
        # Read by other rules, records may have times that the manifest does not know.
        is_of_day |= may_hold and not _is_exact(file, rules)
        if is_of_day or may_hold:
            served = decided if version is None else ()
            tasks.append(
                Task(
                    file,
                    start_us,
                    end_us,
                    known.value(),
                    served,
                    _first_version(snapshot, served, resolve) if version is None else version,
                    rules,
                    snapshot.replays.get(file.source, {}),
                    snapshot.cuts[file.source].next if file.source in snapshot.cuts else 0,
                    _of_file(snapshot, file),
                    unread_only=not is_of_day,
                )
            )
        known.add(file, rules)
    return tasks


class _Newest:
    """The largest event time of a source's files so far.

    The manifest has it of most files. Of the others, which hold a record in quarantine or were archived by other rules
    than those that decided them, it has a bound; they are read only where the bound matters.
    """

    def __init__(self, snapshot: Snapshot, store: LakeStore) -> None:
        self._snapshot = snapshot
        self._store = store
        self._known_us: int | None = None
        self._unread: list[tuple[int, LakeFile, RulesByOffset]] = []

    def add(self, file: LakeFile, rules: RulesByOffset) -> None:
        """Take the next file into account."""
        if not _is_exact(file, rules):
            self._unread.append((file.max_append_us + MAX_FUTURE_US, file, rules))
        elif file.max_event_time_us is not None and _of_file(self._snapshot, file):
            self._unread.append((file.max_event_time_us, file, rules))
        else:
            self._note(file.max_event_time_us)

    def value(self) -> int | None:
        """The largest; None before the first."""
        for bound_us, file, rules in self._unread:
            if self._known_us is None or bound_us > self._known_us:
                self._note(_newest_us(self._snapshot, file, rules, self._store))
        self._unread.clear()
        return self._known_us

    def _note(self, time_us: int | None) -> None:
        if time_us is not None and (self._known_us is None or time_us > self._known_us):
            self._known_us = time_us


def rules_at(rules: RulesByOffset, offset: int) -> Rules:
    """The rules in force at an offset."""
    if len(rules) == 1:
        return rules[0][1]
    return rules[bisect_right(rules, offset, key=lambda each: each[0]) - 1][1]


def _rules(served: Sequence[Served], file: LakeFile) -> RulesByOffset:
    """By which rules a file's records were decided; by its own where none were."""
    if not served:
        return ((file.first_offset, file.rules),)
    found = [(file.first_offset, served[0].rules)]
    for each in served:
        if each.from_offset <= file.first_offset:
            found[0] = file.first_offset, each.rules
        elif each.from_offset < file.next_offset and each.rules != found[-1][1]:
            found.append((each.from_offset, each.rules))
    return tuple(found)


def _is_exact(file: LakeFile, rules: RulesByOffset) -> bool:
    """Whether a file's records were decided by the rules that the manifest's figures of it rest on."""
    return all(each == file.rules for _, each in rules)


def _of_file(snapshot: Snapshot, file: LakeFile) -> dict[int, str]:
    """The records in quarantine that a file holds."""
    own = snapshot.quarantined.get(file.source, {})
    return {offset: digest for offset, digest in own.items() if file.first_offset <= offset < file.next_offset}


def _newest_us(snapshot: Snapshot, file: LakeFile, rules: RulesByOffset, store: LakeStore) -> int | None:
    """The largest event time of a file's records as they were decided, without those in quarantine."""
    quarantined = _of_file(snapshot, file)
    with reading_file(store, file) as opened:
        if not _is_exact(file, rules):
            return max(_event_times_us(pq.ParquetFile(opened), rules, quarantined), default=None)
        table = pq.read_table(opened, columns=["offset", "event_time_us"])
    is_in = pc.is_in(table["offset"], value_set=pa.array(list(quarantined), pa.int64()))
    found = pc.max(table.filter(pc.invert(is_in))["event_time_us"]).as_py()
    return None if found is None else int(found)


def _event_times_us(parquet: pq.ParquetFile, rules: RulesByOffset, without: Mapping[int, str]) -> Iterator[int]:
    for batch in parquet.iter_batches(_BATCH_ROWS, columns=["offset", "append_us", "value"]):
        for offset, append_us, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if offset in without:
                continue
            try:
                read = read_record(value or b"", append_us, rules_at(rules, offset))
            except InvalidRecord:
                continue
            except Exception as error:
                parse_failure(error, append_us)  # raises it again if it is not the record's; the run names the record
                continue
            yield read.comment.event_time_us


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
