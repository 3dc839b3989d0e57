"""The lake as readers see it: the manifest's files, checked before they are handed out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow.parquet as pq

from moderation.adapters.lake.files import LakeFile
from moderation.adapters.lake.manifest import files, maximum_at_end
from moderation.adapters.lake.schema import columns_of
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.verification import Check, check_file, reading_file, require_whole
from moderation.adapters.sql.connection import Connection, connected
from moderation.offsets import TopicPartition
from moderation.settings import Settings, required

if TYPE_CHECKING:
    import duckdb


class Lake:
    """Hands out files; whoever reads others reads what is not part of the lake.

    Args:
        store: where the files lie.
        connection: to the manifest's database.
        topic_prefix: put before every topic's name.
    """

    def __init__(self, store: LakeStore, connection: Connection, topic_prefix: str = "") -> None:
        self.store = store
        self.connection = connection
        self._prefix = topic_prefix

    def files_of_day(
        self, topic: str, day: date, *, topic_id: UUID | None = None, check: Check = "digest"
    ) -> list[LakeFile]:
        """The files of a UTC day of append time, in order of topic id, partition and offset.

        Args:
            topic: its name without a prefix.
            day: which one; the lake has as much of it as was archived by now.
            topic_id: Kafka's id of the topic; None for all that the topic had.
            check: ``digest`` reads every byte first; ``size`` only compares bytes and rows.

        Raises:
            LakeDamaged: a file is missing or not what was written.
        """
        return self._checked(files(self.connection, topic=self._prefix + topic, topic_id=topic_id, day=day), check)

    def files_of_range(
        self, topic: str, topic_id: UUID, partition: int, first: int, end: int, *, check: Check = "digest"
    ) -> list[LakeFile]:
        """The files that together hold the offsets [first, end), in order. The first and the last may hold more.

        Args:
            topic: its name without a prefix.
            topic_id: Kafka's id of the topic.
            partition: its number.
            first: offset.
            end: one after the last offset.
            check: as for :meth:`files_of_day`.

        Raises:
            LakeDamaged: a file is missing or not what was written, or offsets are in no file and no person accepted it.
        """
        topic_partition = TopicPartition(self._prefix + topic, topic_id, partition)
        found = files(self.connection, topic_id=topic_id, partition=partition, overlapping=(first, end))
        require_whole(self.connection, found, topic_partition, (first, end))
        return self._checked(found, check)

    def value_at(self, topic_id: UUID, partition: int, offset: int) -> bytes | None:
        """The value of one record; None if the lake does not have it, or it has none.

        Raises:
            LakeDamaged: its file is missing or not what was written.
        """
        rows = self.rows_at(topic_id, partition, [offset], ["value"])
        return rows[offset]["value"] if rows else None

    def rows_at(
        self, topic_id: UUID, partition: int, offsets: Sequence[int], columns: Sequence[str]
    ) -> dict[int, dict[str, Any]]:
        """Some columns of records, by offset. Records that the lake does not have are left out.

        Args:
            topic_id: Kafka's id of the topic.
            partition: its number.
            offsets: which ones, in any order; at least one.
            columns: their names.

        Raises:
            LakeDamaged: a file is missing or not what was written.
        """
        rows: dict[int, dict[str, Any]] = {}
        wanted = sorted(set(offsets))
        overlapping = (wanted[0], wanted[-1] + 1)
        for file in files(self.connection, topic_id=topic_id, partition=partition, overlapping=overlapping):
            inside = wanted[bisect_left(wanted, file.first_offset) : bisect_left(wanted, file.next_offset)]
            if not inside:
                continue
            check_file(self.store, file)
            with reading_file(self.store, file) as opened:
                table = pq.read_table(opened, columns=["offset", *columns], filters=[("offset", "in", inside)])
            rows.update((row["offset"], row) for row in table.to_pylist())
        return rows

    def files_of_times(self, topic: str, start_us: int, end_us: int, *, check: Check = "digest") -> list[LakeFile]:
        """The files with a record whose event time (of actions: action time) may lie in [start_us, end_us).

        They may hold others as well, and a file that was archived before its days were noted may hold none.

        Args:
            topic: its name without a prefix.
            start_us: microseconds since the epoch.
            end_us: the same.
            check: as for :meth:`files_of_day`.

        Raises:
            LakeDamaged: a file is missing or not what was written.
        """
        found = files(self.connection, topic=self._prefix + topic)
        return self._checked([file for file in found if file.may_hold(start_us, end_us)], check)

    def newest_event_us(self, topic: str) -> int | None:
        """The newest event time (of actions: action time) of a topic in the lake; None if there is none.

        Of comments it is the largest running maximum of a partition, so one comment far ahead of the others does not
        count (see :mod:`moderation.watermark`).

        Args:
            topic: its name without a prefix.
        """
        topic_partitions = {file.topic_partition for file in files(self.connection, topic=self._prefix + topic)}
        maxima = (
            maximum_at_end(self.connection, topic_partition).newest_event_us for topic_partition in topic_partitions
        )
        return max((time_us for time_us in maxima if time_us is not None), default=None)

    def urls(self, found: Sequence[LakeFile]) -> list[str]:
        """Where files lie, as ``spark.read.parquet(*urls)``, DuckDB and pandas take it."""
        return [self.store.url_of(file.path) for file in found]

    def relation(
        self, duck: duckdb.DuckDBPyConnection, topic: str, found: Sequence[LakeFile]
    ) -> duckdb.DuckDBPyRelation:
        """Files as a relation of DuckDB: one row per record, the columns of the topic; no file is no row.

        Args:
            duck: an open connection; the lake's file system is made known to it where DuckDB has none of its own.
            topic: its name without a prefix.
            found: as one of the functions above gave them.
        """
        if not found:
            return duck.from_arrow(columns_of(topic).schema.empty_table())
        if not self.store.is_local:
            duck.register_filesystem(self.store.fs)
        return duck.read_parquet(self.urls(found), hive_partitioning=False)

    def _checked(self, found: list[LakeFile], check: Check) -> list[LakeFile]:
        for file in found:
            check_file(self.store, file, check)
        return found


@contextmanager
def opened_lake(settings: Settings) -> Iterator[Lake]:
    """The lake of the settings; the connection to its manifest ends with the block.

    Raises:
        ConfigurationError: the database cannot be reached, or the lake's address is unknown.
        LedgerUnsafe: the manifest's tables are not there.
    """
    with connected(required(settings.database_url, "database_url")) as connection:
        yield Lake(LakeStore(settings.lake_url), connection, settings.topic_prefix)
