"""Read the lake: select files from the manifest and verify them."""

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
    """Selects and verifies files of the lake. Files that are not in the manifest are not part of the lake.

    Args:
        store: storage of the files.
        connection: to the manifest's database.
        topic_prefix: prefix of all topic names.
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
            topic: name without prefix.
            day: the UTC day; only archived records of it are in the lake.
            topic_id: Kafka's id of the topic; None for all ids of the topic name.
            check: ``digest`` reads every byte; ``size`` compares the numbers of bytes and rows only.

        Raises:
            LakeDamaged: a file is missing or altered.
        """
        return self._checked(files(self.connection, topic=self._prefix + topic, topic_id=topic_id, day=day), check)

    def files_of_range(
        self, topic: str, topic_id: UUID, partition: int, first: int, end: int, *, check: Check = "digest"
    ) -> list[LakeFile]:
        """The files that cover the offsets [first, end), in order. The first and the last may contain more.

        Args:
            topic: name without prefix.
            topic_id: Kafka's id of the topic.
            partition: partition number.
            first: first offset.
            end: one after the last offset.
            check: as for :meth:`files_of_day`.

        Raises:
            LakeDamaged: a file is missing or altered, or offsets are in no file and no accepted gap.
        """
        topic_partition = TopicPartition(self._prefix + topic, topic_id, partition)
        covering = files(self.connection, topic_id=topic_id, partition=partition, overlapping=(first, end))
        require_whole(self.connection, covering, topic_partition, (first, end))
        return self._checked(covering, check)

    def value_at(self, topic_id: UUID, partition: int, offset: int) -> bytes | None:
        """The value of one record; None if the lake does not have it, or it has none.

        Raises:
            LakeDamaged: its file is missing or altered.
        """
        rows = self.rows_at(topic_id, partition, [offset], ["value"])
        return rows[offset]["value"] if rows else None

    def rows_at(
        self, topic_id: UUID, partition: int, offsets: Sequence[int], columns: Sequence[str]
    ) -> dict[int, dict[str, Any]]:
        """Read columns of records, by offset. Records that the lake does not have are left out.

        Args:
            topic_id: Kafka's id of the topic.
            partition: partition number.
            offsets: at least one, in any order.
            columns: names of the columns.

        Raises:
            LakeDamaged: a file is missing or altered.
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
        """The files that may contain records with an event time (of actions: action time) in [start_us, end_us).

        They contain other records too. A file archived before its event days were stored may contain none.

        Args:
            topic: name without prefix.
            start_us: start, microseconds since the epoch.
            end_us: end, microseconds since the epoch.
            check: as for :meth:`files_of_day`.

        Raises:
            LakeDamaged: a file is missing or altered.
        """
        candidates = files(self.connection, topic=self._prefix + topic)
        return self._checked([file for file in candidates if file.may_contain(start_us, end_us)], check)

    def newest_event_us(self, topic: str) -> int | None:
        """The newest event time (of actions: action time) of a topic in the lake; None if there is none.

        For comments it is the largest running maximum of a partition, so a single comment far ahead of the others does
        not count (see :mod:`moderation.watermark`).

        Args:
            topic: name without prefix.
        """
        topic_partitions = {file.topic_partition for file in files(self.connection, topic=self._prefix + topic)}
        maxima = (
            maximum_at_end(self.connection, topic_partition).newest_event_us for topic_partition in topic_partitions
        )
        return max((time_us for time_us in maxima if time_us is not None), default=None)

    def urls(self, lake_files: Sequence[LakeFile]) -> list[str]:
        """URLs of files for ``spark.read.parquet(*urls)``, DuckDB and pandas."""
        return [self.store.url_of(file.path) for file in lake_files]

    def relation(
        self, duck: duckdb.DuckDBPyConnection, topic: str, lake_files: Sequence[LakeFile]
    ) -> duckdb.DuckDBPyRelation:
        """Files as a relation of DuckDB: one row for each record, with the columns of the topic.

        Args:
            duck: an open connection; the file system of a remote lake is registered with it.
            topic: name without prefix.
            lake_files: as returned by the methods above; none gives an empty relation.
        """
        if not lake_files:
            return duck.from_arrow(columns_of(topic).schema.empty_table())
        if not self.store.is_local:
            _register(duck, self.store.fs)
        return duck.read_parquet(self.urls(lake_files), hive_partitioning=False)

    def _checked(self, lake_files: list[LakeFile], check: Check) -> list[LakeFile]:
        for file in lake_files:
            check_file(self.store, file, check)
        return lake_files


def _register(duck: duckdb.DuckDBPyConnection, file_system: Any) -> None:
    """Register a file system with a connection, which refuses it the second time."""
    names = (file_system.protocol,) if isinstance(file_system.protocol, str) else file_system.protocol
    if not any(duck.filesystem_is_registered(name) for name in names):
        duck.register_filesystem(file_system)


@contextmanager
def opened_lake(settings: Settings) -> Iterator[Lake]:
    """Open the configured lake while the block runs.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
        ConfigurationError: the URL of the lake is not supported.
        LedgerUnsafe: the tables of the manifest are missing.
    """
    with connected(required(settings.database_url, "database_url")) as connection:
        yield Lake(LakeStore(settings.lake_url), connection, settings.topic_prefix)
