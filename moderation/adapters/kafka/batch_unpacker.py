"""Unpack fetched records so that damaged data never stops the reader and every offset is accounted for.

aiokafka's unpacking skips offsets silently, raises again after every restart at data it cannot read, and decompresses
without a limit. This module yields offsets without a record as holes with their kind
(:class:`moderation.contracts.HoleKind`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import aiokafka.consumer.fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import KafkaError
from aiokafka.record.control_record import ControlRecord
from aiokafka.record.default_records import DefaultRecordBatch

from moderation.adapters.kafka.record_batches import (
    MOST_UNPACKED_BYTES,
    Batch,
    Batches,
    TolerantBatch,
    Unreadable,
    unpacked,
)
from moderation.contracts import Hole, HoleKind

_MOST_DAMAGED = 1_000_000
_PART_BYTES = 16 * 1024 * 1024
_PART_SECONDS = 0.5
"""Limits of one part of a fetch: unpacked bytes and seconds."""
_ABORT = 0
_MOST_CAUSE = 200
_MOST_AT_ONCE = 10_000
"""Maximum number of records of a batch that are unpacked together; clients batch a few thousand."""
_MOST_SORTED = 100_000
"""Maximum number of records of a batch that are sorted."""
_log = logging.getLogger(__name__)


def install() -> None:
    """Make every aiokafka consumer of this process use :class:`RecordsAndHoles`."""
    aiokafka.consumer.fetcher.MemoryRecords = Batches
    aiokafka.consumer.fetcher.PartitionRecords = RecordsAndHoles
    aiokafka.consumer.fetcher.FetchResult = BoundedFetchResult


@dataclass(frozen=True, slots=True)
class HoleRecord:
    """A hole with the attributes of aiokafka's records."""

    hole: Hole
    topic: str
    timestamp: int
    timestamp_type: int
    key: None = None
    value: None = None
    headers: tuple[()] = ()

    @property
    def partition(self) -> int:
        """Partition number."""
        return self.hole.partition

    @property
    def offset(self) -> int:
        """The hole's last offset."""
        return self.hole.next - 1


class BoundedFetchResult(FetchResult):  # type: ignore[misc] # aiokafka has no types
    """A fetch result that is returned in parts of bounded size; replaces aiokafka's ``FetchResult``.

    aiokafka limits the number of records only, and a fetch of 100 kB may unpack to gigabytes.
    """

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Any]:
        """Return the next part."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        records = cast(RecordsAndHoles, self._partition_records)
        records.begin_part()
        part = []
        for each in records:
            part.append(each)
            if records.is_part_full or (max_records is not None and len(part) >= max_records):
                self._update_position()
                return part
        self._update_position()
        self._partition_records = None
        return part


class RecordsAndHoles(PartitionRecords):  # type: ignore[misc] # aiokafka has no types
    """Records and holes of one partition; replaces aiokafka's ``PartitionRecords``."""

    next_fetch_offset: int
    _suspects: ClassVar[set[tuple[Any, int]]] = set()
    """Batches with one checksum error; they are fetched again before they count as damaged."""
    _spent_bytes = 0
    _part_until = math.inf

    def begin_part(self) -> None:
        """Start counting the bytes and time of a part."""
        self._spent_bytes = 0
        self._part_until = time.monotonic() + _PART_SECONDS

    @property
    def is_part_full(self) -> bool:
        """Whether the limit of bytes or time is reached."""
        return self._spent_bytes >= _PART_BYTES

    def _unpack_records(self) -> Iterator[Any]:
        records = self._records
        while records.has_next():
            if time.monotonic() > self._part_until:
                self._spent_bytes = _PART_BYTES
            batch = records.next_batch()
            if not batch.is_known:
                end = _end_of_damaged(batch, records.next_base_offset())
                yield from self._unreadable(batch, end, "its format is unknown, or its header is damaged")
                continue
            if self._check_crcs and not batch.validate_crc():
                suspect = self._tp, batch.base_offset
                if suspect not in self._suspects:
                    self._suspects.add(suspect)
                    _log.warning("%s offset %d: wrong checksum; the batch is fetched again", *suspect)
                    return
                self._suspects.discard(suspect)
                end = _end_of_damaged(batch, records.next_base_offset())
                yield from self._unreadable(batch, end, "its checksum is wrong")
                continue
            is_committed_only = self._isolation_level == READ_COMMITTED and batch.producer_id >= 0
            if is_committed_only:
                self._consume_aborted_up_to(batch.base_offset)
                if batch.is_control_batch and _is_abort(batch):
                    self._aborted_producers.discard(batch.producer_id)
            if batch.is_control_batch:
                yield from self._holes(batch, HoleKind.MARKER)
            elif is_committed_only and batch.is_transactional and batch.producer_id in self._aborted_producers:
                yield from self._holes(batch, HoleKind.ABORTED)
            else:
                yield from self._readable(batch)

    def _readable(self, batch: Batch) -> Iterator[Any]:
        tp = self._tp
        try:
            for record in self._by_offset(batch):
                expected = self.next_fetch_offset
                if record.offset < expected:
                    continue
                if record.offset >= batch.next_offset:
                    raise Unreadable(f"it has a record at offset {record.offset}, outside of it")
                if record.offset > expected:
                    yield self._hole(batch, record.offset, HoleKind.DELETED)
                consumer_record = self._consumer_record(tp, record)
                self.next_fetch_offset = record.offset + 1
                yield consumer_record
        except MemoryError:
            raise
        except Exception as error:
            # Whatever error the bytes of a batch cause, the next batch can be read.
            cause = str(error) if isinstance(error, Unreadable | KafkaError) else type(error).__name__
            yield from self._unreadable(batch, batch.next_offset, cause)
            return
        if batch.next_offset > self.next_fetch_offset:
            yield self._hole(batch, batch.next_offset, HoleKind.DELETED)

    def _by_offset(self, batch: Batch) -> Iterator[Any]:
        """Yield the records of a batch in order of offsets; brokers accept batches in another order.

        Only a batch with a gap is read whole, and only up to ``_MOST_SORTED`` records, to limit memory.
        """
        data = self._unpacked(batch)
        if (ordered := _without_gap(batch, data)) is not None:
            yield from ordered
            return
        expected, records = max(self.next_fetch_offset, batch.base_offset), self._records_of(data)
        for record in records:
            if record.offset > expected and batch.count <= _MOST_SORTED:
                break
            yield record
            expected = record.offset + 1
        else:
            return
        rest = [record]
        try:
            for each in records:
                rest.append(each)
        finally:
            # A record outside of the batch means damage: the records after it are ignored.
            is_damaged = any(each.offset >= batch.next_offset for each in rest)
            yield from rest if is_damaged else sorted(rest, key=lambda each: each.offset)

    def _unpacked(self, batch: Batch) -> memoryview:
        try:
            data = unpacked(batch)
        except Unreadable:
            self._spent_bytes += MOST_UNPACKED_BYTES
            raise
        if data is None:
            return batch.data
        self._spent_bytes += len(data)
        return data

    def _records_of(self, data: memoryview) -> Iterator[Any]:
        """Yield the records of a batch; after the first header name that is not UTF-8, use aiokafka's slower code.

        Clients in C and Go can write such names and brokers accept them. Each undecodable byte becomes ``\\xNN``.
        """
        try:
            yield from DefaultRecordBatch(data)
        except UnicodeDecodeError:
            expected = self.next_fetch_offset
            yield from (record for record in TolerantBatch(data) if record.offset >= expected)

    def _holes(self, batch: Batch, kind: HoleKind) -> Iterator[HoleRecord]:
        """Yield the deleted offsets before a batch, and the offsets of the batch."""
        if batch.base_offset > self.next_fetch_offset:
            yield self._hole(batch, batch.base_offset, HoleKind.DELETED)
        if batch.next_offset > self.next_fetch_offset:
            yield self._hole(batch, batch.next_offset, kind)

    def _unreadable(self, batch: Batch, end: int, cause: str) -> Iterator[HoleRecord]:
        if batch.base_offset > self.next_fetch_offset:
            yield self._hole(batch, batch.base_offset, HoleKind.DELETED)
        if end > self.next_fetch_offset:
            first = self.next_fetch_offset
            _log.error("%s offsets [%d, %d) cannot be read and are lost: %s", self._tp, first, end, cause)
            yield self._hole(batch, end, HoleKind.UNREADABLE, cause[:_MOST_CAUSE].replace("\0", ""))

    def _hole(self, batch: Batch, end: int, kind: HoleKind, cause: str = "") -> HoleRecord:
        tp, first, time_ms = self._tp, self.next_fetch_offset, batch.max_timestamp
        self.next_fetch_offset = end
        hole = Hole(tp.partition, first, end, kind, time_ms * 1_000, cause)
        return HoleRecord(hole, tp.topic, time_ms, batch.timestamp_type)


def _without_gap(batch: Batch, data: memoryview) -> list[Any] | None:
    """Return the records of a batch with consecutive offsets; None for any other batch."""
    if not 0 < batch.count == batch.last_offset_delta + 1 <= _MOST_AT_ONCE:
        return None
    try:
        records = list(DefaultRecordBatch(data))
    except MemoryError:
        raise
    except Exception:
        return None  # reading record by record meets the error again, after the last sound record
    offsets = range(batch.base_offset, batch.next_offset)
    return records if [record.offset for record in records] == list(offsets) else None


def _end_of_damaged(batch: Batch, next_base_offset: int | None) -> int:
    """Estimate the end of a batch with an untrusted header, at least one offset on.

    The first offset of the next batch is not trusted either: no checksum covers it.
    """
    if next_base_offset is not None and 0 < next_base_offset - batch.base_offset <= _MOST_DAMAGED:
        return next_base_offset
    if 0 < batch.count == batch.last_offset_delta + 1 <= _MOST_DAMAGED:
        return batch.next_offset
    return batch.base_offset + 1


def _is_abort(batch: Batch) -> bool:
    control = next(iter(DefaultRecordBatch(batch.data)), None)
    return control is not None and ControlRecord.parse(control.key).type_ == _ABORT
