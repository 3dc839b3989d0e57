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

from batch.progress import OnProgress, no_progress
from batch.reconcile.published_differences import Row, compare_rows, no_places
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.row_records import PUBLISHED_TOPICS, PublishedTopic, row_records
from moderation.adapters.kafka.topic_reader import TopicReader, is_missing, open_topic
from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.reconciliation.published_checks import PublishedCheck, ends_of_last_check, store_check
from moderation.adapters.sql.connection import Connection, connected
from moderation.adapters.sql.published_rows import (
    Place,
    PublishedBounds,
    RowSelection,
    SourcePartition,
    dropped_append_days,
    dropped_places,
    offsets_of_day,
    published_bounds,
    source_partitions,
)
from moderation.contracts import MAX_OFFSET, MAX_PARTITION, Hole
from moderation.contracts.records import MAX_TIME_US
from moderation.settings import Settings, required
from moderation.timestamps import DAY_US, HOUR_US, day_bounds_us, day_of, now_us

_TOPIC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GAP = 200
"""Positions of other days that are closer to each other than this are read in one query."""
_PLACES = 10_000


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
    _ends: Mapping[int, int] = field(default_factory=dict)

    def check(self, log: TopicReader | None) -> PublishedCheck:
        """Compare; the topic is None if it does not exist."""
        start_us, end_us = day_bounds_us(self.day)
        if log is not None and (reason := _beyond_retention(log, start_us)) is not None:
            return PublishedCheck(self.published, skipped=reason)
        if self.published == "panes":
            self._ranges = {(str(each), part): (start_us, end_us) for each, part in self.bounds}
        else:
            self._ranges = offsets_of_day(self.connection, self.source, self.day)
        seen = iter(()) if log is None else self._seen(log, start_us, end_us)
        dropped = no_places if self.published == "panes" else self._dropped
        check = compare_rows(self.published, seen, self._rows_of_day(), self.folder, self._rows_at, dropped)
        ends = {str(partition): end for partition, end in self._ends.items()}
        return check if log is None else replace(check, read_to={str(log.topic_id): ends})

    def _seen(self, log: TopicReader, start_us: int, end_us: int) -> Iterator[Row]:
        """Yield the records that are about rows of the day, and all that were published on the day.

        Producers set the times of records. A record that came after the last comparison was not published earlier,
        whatever its time is; one with a time after this comparison counts now, because no later day would count it.
        """
        last_ends = ends_of_last_check(self.connection, self.source, self.published, self.day, log.topic_id)
        ranges = log.ranges()
        read_us = now_us()
        self._ends = {partition: end for partition, (_, end) in ranges.items()}
        for partition, (first, end) in ranges.items():
            last_end = last_ends.get(partition, end)
            hour_before, of_day = (
                min(end if since is None else since, last_end)
                for since in (log.first_offset_since(partition, us) for us in (start_us - HOUR_US, start_us))
            )
            for record in log.records(partition, max(first, hour_before), end):
                if isinstance(record, Hole):
                    continue
                counts = record.offset >= of_day and not end_us <= record.append_us <= read_us
                key, value = record.key or b"", record.value or b""
                place = _place(self.published, key, value)
                if place is None:
                    if counts:
                        yield "", partition, record.offset, "not a record of this project", bytes(16), True, 0
                    continue
                topic_id, part, pos, name = place
                lower, upper = self._ranges.get((topic_id, part), (0, 0))
                counts = counts or lower <= pos < upper
                if counts or self.published == "panes":  # the last record of a pane is compared, whenever it came
                    yield topic_id, part, pos, name, _digest(key, value), counts, record.offset

    def _rows_of_day(self) -> Iterator[Row]:
        for source in source_partitions(self.connection, self.source, None):
            yield from self._rows(source, RowSelection(first_day=self.day, last_day=self.day))

    def _rows_at(self, places: Iterator[Place]) -> Iterator[Row]:
        """Yield rows at places and between them. The ends of the ledger are read here, after the topic."""
        found = source_partitions(self.connection, self.source, None)
        sources = {(str(each.topic_id), each.partition): each for each in found}
        is_pane = self.published == "panes"
        for topic_id, part, first, last in _spans(places, DAY_US if is_pane else _GAP):
            source = sources.get((topic_id, part))
            if source is None or first > (MAX_TIME_US if is_pane else source.next):
                continue
            if is_pane:
                days = day_of(first), day_of(min(last, MAX_TIME_US))
                yield from self._rows(source, RowSelection(first_day=days[0], last_day=days[1]))
            else:
                yield from self._rows(source, RowSelection(offsets=(first, last + 1)))

    def _rows(self, source: SourcePartition, chosen: RowSelection) -> Iterator[Row]:
        topic_id, partition = source.topic_id, source.partition
        bounds = self.bounds.get((topic_id, partition), PublishedBounds(0, None))
        source = replace(source, newest_event_us=MAX_TIME_US)  # open panes may be published, after a reset
        with closing(row_records(self.connection, self.source, self.published, source, chosen)) as rows:
            for pos, key, value in rows:
                name, must = "", pos < bounds.published_next
                if self.published == "panes":
                    name, must = key.decode(), bounds.has_published_pane(pos)
                yield str(topic_id), partition, pos, name, _digest(key, value), must, 0

    def _dropped(self, places: Iterator[Place]) -> Iterator[Place]:
        """Yield places whose decisions were dropped. The days are read here, after the rows."""
        days: list[date] | None = None
        while part := list(islice(places, _PLACES)):
            days = dropped_append_days(self.connection, self.source) if days is None else days
            yield from dropped_places(self.connection, part, days)


def _spans(places: Iterator[Place], gap: int) -> Iterator[tuple[str, int, int, int]]:
    """Combine ordered places to spans: topic id, partition, first and last position, with smaller gaps between."""
    span: tuple[str, int, int, int] | None = None
    for topic_id, part, pos in places:
        if span is not None and span[:2] == (topic_id, part) and pos - span[3] < gap:
            span = (*span[:3], pos)
            continue
        if span is not None:
            yield span
        span = topic_id, part, pos, pos
    if span is not None:
        yield span


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
