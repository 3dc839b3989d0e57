"""Which files of the lake are read for a day or a window, and what decides what their records are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from moderation.adapters.lake.checking import reading_file
from moderation.adapters.lake.files import LakeFile
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.sql.snapshot import Served, Snapshot
from moderation.contracts import MAX_FUTURE_US
from moderation.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Task:
    """One file of the lake.

    Attributes:
        file: which.
        start_us, end_us: the day or window, half-open.
        newest_before_us: the largest event time of all earlier records of the partition; None before the first.
        served: which version decided from which offset on.
        first_version: scores what comes before that.
        replays: offsets that repeat a dead letter.
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
    replays: frozenset[int]
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
                    frozenset(snapshot.replays.get(file.source, ())),
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
