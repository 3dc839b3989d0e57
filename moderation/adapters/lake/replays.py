"""Verify replays of dead letters against the lake."""

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
    """A dead letter and the replay that closed it according to the ledger.

    Attributes:
        topic_partition: topic and partition of the dead letter.
        offset: offset of the dead letter.
        replay: topic and partition of the replay.
        replay_offset: offset of the replay.
        contents: contents that the replay may have.
    """

    topic_partition: TopicPartition
    offset: int
    replay: TopicPartition
    replay_offset: int
    contents: LetterContents


def proven_replays(
    store: LakeStore, manifest: Iterable[LakeFile], replayed: Collection[ReplayedLetter]
) -> set[ReplayedLetter]:
    """Return the letters whose replay is in the lake with the right content. Each file is read at most once.

    Raises:
        LakeDamaged: a file with a replay is missing or altered.
    """
    by_partition: dict[TopicPartition, dict[int, list[ReplayedLetter]]] = {}
    for letter in replayed:
        by_partition.setdefault(letter.replay, {}).setdefault(letter.replay_offset, []).append(letter)
    proven: set[ReplayedLetter] = set()
    for file in manifest:
        wanted = {
            offset: letters
            for offset, letters in by_partition.get(file.topic_partition, {}).items()
            if file.first_offset <= offset < file.next_offset
        }
        if wanted:
            for offset, content in _contents(store, file, wanted):
                proven.update(letter for letter in wanted[offset] if letter.contents.accepts(content))
    return proven


def _contents(store: LakeStore, file: LakeFile, offsets: Collection[int]) -> list[tuple[int, Content]]:
    check_file(store, file)
    wanted = pa.array(sorted(offsets), pa.int64())
    contents: list[tuple[int, Content]] = []
    with reading_file(store, file) as opened:
        parquet = pq.ParquetFile(opened)
        for group in range(parquet.num_row_groups):
            if pc.any(pc.is_in(parquet.read_row_group(group, ["offset"])["offset"], value_set=wanted)).as_py():
                table = parquet.read_row_group(group, ["offset", "value"])
                table = table.filter(pc.is_in(table["offset"], value_set=wanted))
                contents += [
                    (offset, Content.of(value or b""))
                    for offset, value in zip(table["offset"].to_pylist(), table["value"].to_pylist(), strict=True)
                ]
    return contents
