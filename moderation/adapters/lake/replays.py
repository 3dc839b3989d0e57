"""Proof of replays from the lake: the bytes that closed a dead letter."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from moderation.adapters.lake.files import LakeFile
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.verification import check_file, reading_file
from moderation.contracts import Content, LetterContents
from moderation.offsets import TopicPartition


@dataclass(frozen=True, slots=True)
class ReplayedLetter:
    """A dead letter and the replay that the ledger says closed it.

    Attributes:
        topic_partition: topic and partition of the dead letter.
        offset: of the dead letter.
        replay: topic and partition of the replay.
        replay_offset: of the replay.
        contents: what the replay must contain.
    """

    topic_partition: TopicPartition
    offset: int
    replay: TopicPartition
    replay_offset: int
    contents: LetterContents


def proven_replays(
    store: LakeStore, manifest: Iterable[LakeFile], replayed: Collection[ReplayedLetter]
) -> set[ReplayedLetter]:
    """Those replayed whose replay the lake has, with the right bytes. Each file is read at most once.

    Raises:
        LakeDamaged: a file that has a replay is missing or is not what was written.
    """
    by_partition: dict[TopicPartition, dict[int, list[ReplayedLetter]]] = {}
    for closing in replayed:
        by_partition.setdefault(closing.replay, {}).setdefault(closing.replay_offset, []).append(closing)
    proven: set[ReplayedLetter] = set()
    for file in manifest:
        wanted = {
            offset: own
            for offset, own in by_partition.get(file.topic_partition, {}).items()
            if file.first_offset <= offset < file.next_offset
        }
        if wanted:
            for offset, content in _contents(store, file, wanted):
                proven.update(closing for closing in wanted[offset] if closing.contents.accepts(content))
    return proven


def _contents(store: LakeStore, file: LakeFile, offsets: Collection[int]) -> list[tuple[int, Content]]:
    check_file(store, file)
    wanted = pa.array(sorted(offsets), pa.int64())
    found = []
    with reading_file(store, file) as opened:
        parquet = pq.ParquetFile(opened)
        for group in range(parquet.num_row_groups):
            if pc.any(pc.is_in(parquet.read_row_group(group, ["offset"])["offset"], value_set=wanted)).as_py():
                table = parquet.read_row_group(group, ["offset", "value"])
                table = table.filter(pc.is_in(table["offset"], value_set=wanted))
                found += [
                    (offset, Content.of(value or b""))
                    for offset, value in zip(table["offset"].to_pylist(), table["value"].to_pylist(), strict=True)
                ]
    return found
