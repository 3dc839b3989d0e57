"""Compare the published topics with the ledger: every decision, alert and closed pane of a day, key and value.

The order of reading makes each difference evidence: first the ledger's offsets below which everything is published,
then the ends and records of the topics, then the rows of the ledger. A record that is published before the comparison
reads the rows is stored in the ledger, because the worker commits before it publishes.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from batch.progress import OnProgress, no_progress
from batch.reconcile.engines import opened_duckdb
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.row_records import PUBLISHED_TOPICS, PublishedTopic, row_records
from moderation.adapters.kafka.topic_reader import TopicReader, is_missing, open_topic
from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.reconciliation.published_checks import PublishedCheck, store_check
from moderation.adapters.sql.connection import Connection, connected
from moderation.adapters.sql.published_rows import (
    PublishedBounds,
    RowSelection,
    offsets_of_day,
    published_bounds,
    source_partitions,
)
from moderation.contracts import MAX_OFFSET, MAX_PARTITION, Hole
from moderation.contracts.records import MAX_TIME_US
from moderation.settings import Settings, required
from moderation.timestamps import HOUR_US, day_bounds_us, now_us

_ROWS = 10_000
_EXAMPLES = 5
_MEMORY_BYTES = 1024**3
_EXAMPLE_CHARACTERS = 500
_TOPIC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SCHEMA = pa.schema(
    [
        *(("topic_id", pa.string()), ("part", pa.int32()), ("pos", pa.int64()), ("name", pa.string())),
        *(("digest", pa.binary(16)), ("must", pa.bool_()), ("nth", pa.int64())),
    ]
)
# A decision is published with one value only. A pane that was published before a reset of the watermark may have
# changed since: the last record of its key counts, once it is published again. ``name`` distinguishes panes of a start.
_TABLES = """
CREATE VIEW latest AS SELECT * FROM seen QUALIFY NOT {is_pane}
    OR row_number() OVER (PARTITION BY topic_id, part, pos, name ORDER BY nth DESC) = 1;
CREATE TABLE differences AS
SELECT CASE WHEN e.pos IS NULL THEN 'published_unknown' WHEN s.pos IS NULL THEN 'unpublished'
            ELSE 'published_otherwise' END AS kind,
       coalesce(e.topic_id, s.topic_id) AS topic_id, coalesce(e.part, s.part) AS part, coalesce(e.pos, s.pos) AS pos,
       coalesce(e.name, s.name) AS name
  FROM expected e FULL JOIN latest s USING (topic_id, part, pos, name)
 WHERE (s.pos IS NULL AND e.must) OR e.pos IS NULL OR (e.digest <> s.digest AND (e.must OR NOT {is_pane}));
"""
_COUNTS = "SELECT kind, count(*) FROM (SELECT DISTINCT kind, topic_id, part, pos, name FROM differences) GROUP BY kind"
_FIRST = """
SELECT DISTINCT kind, topic_id, part, pos, name FROM differences
QUALIFY dense_rank() OVER (PARTITION BY kind ORDER BY topic_id, part, pos, name) <= {most} ORDER BY ALL
"""
Row = tuple[str, int, int, str, bytes, bool, int]
"""Topic id, partition and position of the source; name of a pane, else empty; digest of key and value; whether it must
be published; offset on the published topic."""


def compare_published(
    settings: Settings,
    day: date,
    *,
    kafka: Mapping[str, Any] | None = None,
    on_progress: OnProgress = no_progress,
    before_topics: Callable[[], None] = lambda: None,
) -> list[PublishedCheck]:
    """Compare the published topics with the ledger's rows of a day, and store the result. Safe to repeat.

    Decisions and alerts belong to the UTC day of their append time, panes to that of their event time.

    Args:
        settings: where Kafka and the database are.
        day: the UTC day.
        kafka: settings of a connection by librdkafka's names; those of ``settings`` if None.
        on_progress: receives one line at each step.
        before_topics: called after the bounds of the ledger are read; for tests.

    Returns:
        One result for each topic.

    Raises:
        Unavailable: Kafka or the database does not answer.
        ConfigurationError: Kafka refuses.
        LedgerUnsafe: the database is not migrated.
    """
    brokers = kafka_of(settings, kafka)
    source = settings.topic_prefix + COMMENTS.name
    checks = []
    settings.state_folder.mkdir(parents=True, exist_ok=True)
    with connected(required(settings.database_url, "database_url"), name="moderation published") as connection:
        for published in PUBLISHED_TOPICS:
            on_progress(f"{day}: comparing topic {settings.topic_prefix}{published} with the ledger")
            bounds = published_bounds(connection, source)
            before_topics()
            with tempfile.TemporaryDirectory(prefix="published-", dir=settings.state_folder) as scratch:
                comparison = _Comparison(connection, source, published, day, bounds, Path(scratch))
                topic = settings.topic_prefix + published
                # A missing topic has no record; whatever was published on it is missing.
                if is_missing(brokers, topic):
                    check = comparison.check(None)
                else:
                    with open_topic(brokers, topic) as log:
                        check = comparison.check(log)
            store_check(connection, source, day, check, now_us())
            on_progress(f"{day}: {check}")
            checks.append(check)
    return checks


@dataclass(slots=True)
class _Comparison:
    """Comparison of one published topic.

    Attributes:
        connection: to the ledger.
        source: full name of topic ``comments``.
        published: the topic.
        day: the UTC day.
        bounds: what is published, by topic id and partition of the source.
        folder: for intermediate files.
    """

    connection: Connection
    source: str
    published: PublishedTopic
    day: date
    bounds: Mapping[tuple[UUID, int], PublishedBounds]
    folder: Path
    _ranges: Mapping[tuple[str, int], tuple[int, int]] = field(default_factory=dict)

    def check(self, log: TopicReader | None) -> PublishedCheck:
        """Compare; the topic is None if it does not exist."""
        start_us, end_us = day_bounds_us(self.day)
        if log is not None and (reason := _beyond_retention(log, start_us)) is not None:
            return PublishedCheck(self.published, skipped=reason)
        if self.published == "panes":
            self._ranges = {(str(each), part): (start_us, end_us) for each, part in self.bounds}
        else:
            self._ranges = offsets_of_day(self.connection, self.source, self.day)
        seen = iter(()) if log is None else self._seen(log, start_us - HOUR_US)
        return compare_rows(self.published, seen, self._expected(), self.folder)

    def _expected(self) -> Iterator[Row]:
        chosen = RowSelection(first_day=self.day, last_day=self.day)
        for source in source_partitions(self.connection, self.source, None):
            topic_id, partition = source.topic_id, source.partition
            bounds = self.bounds.get((topic_id, partition), PublishedBounds(0, None))
            source = replace(source, newest_event_us=MAX_TIME_US)  # open panes may be published, after a reset
            with closing(row_records(self.connection, self.source, self.published, source, chosen)) as rows:
                for pos, key, value in rows:
                    name, must = "", pos < bounds.published_next
                    if self.published == "panes":
                        name, must = key.decode(), bounds.has_published_pane(pos)
                    yield str(topic_id), partition, pos, name, _digest(key, value), must, 0

    def _seen(self, log: TopicReader, since_us: int) -> Iterator[Row]:
        sources = {(str(topic_id), partition) for topic_id, partition in self.bounds}
        for partition, (first, end) in log.ranges().items():
            since = log.first_offset_since(partition, since_us)
            start = end if since is None else max(first, since)
            for record in log.records(partition, start, end):
                if isinstance(record, Hole):
                    continue
                key, value = record.key or b"", record.value or b""
                place = _place(self.published, key, value)
                if place is None:
                    yield "", partition, record.offset, "not a record of this project", b"\0" * 16, False, 0
                    continue
                topic_id, part, pos, name = place
                lower, upper = self._ranges.get((topic_id, part), (0, 0))
                if (topic_id, part) not in sources or lower <= pos < upper:
                    yield topic_id, part, pos, name, _digest(key, value), False, record.offset


def compare_rows(
    published: PublishedTopic, seen: Iterator[Row], expected: Iterator[Row], folder: Path
) -> PublishedCheck:
    """Compare the records of a topic with those that the ledger's rows give, with bounded memory.

    Args:
        published: the topic.
        seen: rows of its records, read before ``expected``; see :data:`Row`.
        expected: rows of the ledger.
        folder: for intermediate files.
    """
    _write(folder / "seen.parquet", seen)
    compared = _write(folder / "expected.parquet", expected)
    with opened_duckdb(folder, _MEMORY_BYTES) as duck:
        for name in ("seen", "expected"):
            duck.read_parquet(str(folder / f"{name}.parquet")).create_view(name)
        duck.execute(_TABLES.format(is_pane=published == "panes"))
        counts: dict[str, int] = dict(duck.sql(_COUNTS).fetchall())
        examples: dict[str, list[str]] = {}
        for kind, topic_id, part, pos, name in duck.sql(_FIRST.format(most=_EXAMPLES)).fetchall():
            examples.setdefault(kind, []).append((name or f"{topic_id}/{part}/{pos}")[:_EXAMPLE_CHARACTERS])
    return PublishedCheck(
        published,
        compared,
        unpublished=counts.get("unpublished", 0),
        published_otherwise=counts.get("published_otherwise", 0),
        published_unknown=counts.get("published_unknown", 0),
        examples=examples,
    )


def _write(path: Path, rows: Iterator[Row]) -> int:
    """Write rows to a file; return how many must be published."""
    must = 0
    with pq.ParquetWriter(path, _SCHEMA, compression="lz4") as writer:
        while part := list(islice(rows, _ROWS)):
            must += sum(row[5] for row in part)
            columns = zip(*part, strict=True)
            arrays = [pa.array(values, each.type) for values, each in zip(columns, _SCHEMA, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA))
    return must


def _beyond_retention(log: TopicReader, start_us: int) -> str | None:
    """Return why records of a day may be deleted; None if the topic keeps them."""
    kept_ms = log.retention_ms()
    if kept_ms is None or now_us() - kept_ms * 1_000 <= start_us:
        return None
    return f"the topic keeps records for {timedelta(milliseconds=kept_ms)}, and the day began earlier"


def _place(published: PublishedTopic, key: bytes, value: bytes) -> tuple[str, int, int, str] | None:
    """Return topic id, partition, position and name of the row that a record is about; None for any other record."""
    try:
        if published == "panes":
            topic_id, partition, _, start_us, *_ = orjson.loads(key)
            place = (topic_id, partition, start_us, key.decode())
        else:
            fields = orjson.loads(value)
            fields = fields["decision"] if published == "alerts" else fields
            place = (fields["topic_id"], fields["partition"], fields["offset"], "")
    except (ValueError, KeyError, TypeError):
        return None
    topic_id, partition, position, _ = place
    if type(topic_id) is not str or type(partition) is not int or type(position) is not int:
        return None
    is_valid = _TOPIC_ID.fullmatch(topic_id) and partition <= MAX_PARTITION and 0 <= position <= MAX_OFFSET
    return place if is_valid and partition >= 0 else None


def _digest(key: bytes, value: bytes) -> bytes:
    return hashlib.sha256(len(key).to_bytes(4, "big") + key + value).digest()[:16]
