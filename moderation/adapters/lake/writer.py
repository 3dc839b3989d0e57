"""Write a range of records as a Parquet file with a temporary name. Equal records give equal bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from moderation.adapters.kafka.topic_reader import LogRecord
from moderation.adapters.lake.file_boundaries import FileLimits, in_groups
from moderation.adapters.lake.files import LakeFile, path_of
from moderation.adapters.lake.schema import Columns, table_of
from moderation.adapters.lake.store import LakeStore
from moderation.contracts import Rules
from moderation.errors import InvalidRecord
from moderation.offsets import TopicPartition
from moderation.timestamps import DAY_US, day_of
from moderation.watermark import RunningMaximum, advance


@dataclass(slots=True)
class _Extent:
    """Totals of the row groups of a file."""

    rows: int = 0
    first_offset: int = -1
    next_offset: int = -1
    append_us: tuple[int, int] | None = None
    event_time_us: tuple[int, int] | None = None
    event_days: set[date] = field(default_factory=set)
    maximum: RunningMaximum | None = None

    def add(self, table: pa.Table, event_time: str, rules: Rules) -> None:
        offsets = table.column("offset")
        if not self.rows:
            self.first_offset = offsets[0].as_py()
        self.next_offset = offsets[-1].as_py() + 1
        self.rows += len(table)
        self.append_us = _wider(self.append_us, table.column("append_us"))
        self.event_time_us = _wider(self.event_time_us, table.column(event_time))
        days = pc.unique(pc.divide(table.column(event_time).drop_null(), DAY_US)).to_pylist()
        self.event_days.update(day_of(day * DAY_US) for day in days)
        if self.maximum is not None:
            read = table.select([event_time, "comment_id"]).filter(pc.is_valid(table.column(event_time)))
            times_us = read.column(event_time).to_numpy()
            self.maximum = advance(self.maximum, times_us, read.column("comment_id").to_pylist(), rules).state


def write_file(
    store: LakeStore,
    temporary: str,
    topic_partition: TopicPartition,
    columns: Columns,
    day: date,
    records: Iterable[LogRecord],
    limits: FileLimits,
    wrote_group: Callable[[int], None] = lambda rows: None,
    failed: Callable[[int, str], None] = lambda offset, error: None,
    refused: Callable[[LogRecord, InvalidRecord], None] = lambda record, error: None,
    maximum: RunningMaximum | None = None,
) -> LakeFile:
    """Write records in order of offsets, and return the row for the manifest.

    Args:
        store: the lake.
        temporary: path to write to; the file is removed on failure.
        topic_partition: partition of the records.
        columns: columns of the topic.
        day: UTC day of their append time.
        records: at least one, contiguous.
        limits: limits of row groups.
        wrote_group: called with the number of rows of each written row group.
        failed: see :func:`table_of`.
        refused: see :func:`table_of`.
        maximum: running maximum of event times before the first record; None if the topic has none.

    Returns:
        The manifest row; its path is the final path of the file.
    """
    schema = columns.schema.with_metadata(
        {
            "topic": topic_partition.topic,
            "topic_id": str(topic_partition.topic_id),
            "partition": str(topic_partition.partition),
        }
    )
    extent = _Extent(maximum=maximum)
    with store.creating(temporary) as file:
        with pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            write_statistics=columns.statistics,
            use_dictionary=[name for name in ("community", "kind") if name in schema.names],
            sorting_columns=[pq.SortingColumn(schema.get_field_index("offset"))],
        ) as writer:
            for group in in_groups(records, limits):
                table = table_of(topic_partition, columns, group, failed, refused)
                writer.write_table(table, row_group_size=len(group))
                extent.add(table, columns.event_time, columns.rules)
                wrote_group(len(group))
        digest, size_bytes = file.sha256, file.size_bytes
    if extent.append_us is None:
        raise ValueError("a file of no records")
    earliest_us, newest_us = extent.event_time_us or (None, None)
    return LakeFile(
        path=path_of(topic_partition, day, extent.first_offset, extent.next_offset, digest),
        topic_partition=topic_partition,
        first_offset=extent.first_offset,
        next_offset=extent.next_offset,
        day=day,
        rows=extent.rows,
        bytes=size_bytes,
        sha256=digest,
        min_append_us=extent.append_us[0],
        max_append_us=extent.append_us[1],
        min_event_time_us=earliest_us,
        max_event_time_us=newest_us,
        event_days=tuple(sorted(extent.event_days)),
        rules=columns.rules,
        maximum_before=maximum,
        maximum_after=extent.maximum,
    )


def _wider(bounds: tuple[int, int] | None, values: pa.ChunkedArray) -> tuple[int, int] | None:
    extremes = pc.min_max(values).as_py()
    if extremes["min"] is None:
        return bounds
    if bounds is None:
        return extremes["min"], extremes["max"]
    return min(bounds[0], extremes["min"]), max(bounds[1], extremes["max"])
