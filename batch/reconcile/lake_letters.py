"""Records of the lake that are dead letters, or that have one in the ledger, for the comparison of both sides."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from moderation.contracts import Content
from moderation.offsets import TopicPartition

SCHEMA = pa.schema(
    [
        *(("topic_id", pa.string()), ("part", pa.int32()), ("pos", pa.int64()), ("append_us", pa.int64())),
        *(("length", pa.int64()), ("sha256", pa.string()), ("reason", pa.string())),
    ]
)
READABLE = ""
"""Reason of a record that its rules accept."""
# Neither DuckDB's pattern nor Spark reads a file with this name as data.
_NAME = "_letters-{}.rows"


class LakeLetters:
    """Collects the dead letters of one file of the lake.

    Args:
        source: topic and partition of the file.
    """

    def __init__(self, source: TopicPartition) -> None:
        self._source = source
        self._rows: list[tuple[object, ...]] = []

    def add(self, offset: int, append_us: int, value: bytes, reason: str | None) -> None:
        """Add a record.

        Args:
            offset: of the record.
            append_us: append time, microseconds since the epoch.
            value: its bytes.
            reason: why the rules that its dead letter names refuse it, or without one those of its offset; ``READABLE``
                if they do not; None if reading it fails.
        """
        source, content = self._source, Content.of(value)
        self._rows.append((str(source.topic_id), source.partition, offset, append_us, *content, reason))

    def write(self, output: Path) -> None:
        """Store the records beside a file of recomputed records, if there are any."""
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
            pq.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), output.with_name(_NAME.format(output.stem)))


def collect_lake_letters(recomputed: Path, folder: Path) -> None:
    """Write the collected records of all files of a folder of recomputed records to one Parquet file.

    Args:
        recomputed: the folder of recomputed records.
        folder: receives ``0.parquet``; created.
    """
    folder.mkdir(parents=True)
    with pq.ParquetWriter(folder / "0.parquet", SCHEMA, compression="zstd") as writer:
        for path in sorted(recomputed.glob(_NAME.format("*"))):
            writer.write_table(pq.read_table(path))
