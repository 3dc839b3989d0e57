"""What a broker sends of a partition, unpacked so that nothing in it ends the reader and no offset is passed over.

aiokafka's own unpacking leaves out offsets without a word, raises at the first thing it cannot read, at every start
again, and decompresses without a limit. Here the offsets between records are handed on as holes with their kind
(:class:`moderation.contracts.HoleKind`), in the place of the records.

The layout of batches and records: https://kafka.apache.org/documentation/#recordbatch.
"""

from __future__ import annotations

import logging
import math
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, SupportsIndex, cast

import aiokafka.consumer.fetcher
import cramjam
import numpy as np
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import KafkaError
from aiokafka.record.control_record import ControlRecord
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from numpy.typing import NDArray

from moderation.contracts import Hole, HoleKind
from moderation.contracts.records import MAX_TIME_US

MOST_UNPACKED_BYTES = 64 * 1024 * 1024
"""Of one batch; producers send a mebibyte unless they were told otherwise."""
_FIRST_BYTES = 64 * 1024
_GROWTH = 8
_HEADER = _DefaultRecordBatchPy.HEADER_STRUCT
_LENGTH = struct.Struct(">qi")
_BLOCK = struct.Struct(">i")
_MAGIC_AT = 16
_MAGIC = 2
_LEAST_BYTES = 49
"""Of a batch without records, behind its first offset and its length."""
_MOST_DAMAGED = 1_000_000
_PART_BYTES = 16 * 1024 * 1024
_PART_SECONDS = 0.5
"""Of one part of a fetch: what is unpacked before it is handed on, and for how long."""
_ATTRIBUTES = struct.Struct(">H")
_ATTRIBUTES_AT = _DefaultRecordBatchPy.ATTRIBUTES_OFFSET
_CODEC_MASK = _DefaultRecordBatchPy.CODEC_MASK
_ABORT = 0
_MOST_CAUSE = 200
_NO_ROOM = "failed to write whole buffer"
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16
_log = logging.getLogger(__name__)


def install() -> None:
    """Have every consumer of this process unpack with :class:`WholeRecords`."""
    aiokafka.consumer.fetcher.MemoryRecords = Batches
    aiokafka.consumer.fetcher.PartitionRecords = WholeRecords
    aiokafka.consumer.fetcher.FetchResult = BoundedResult


@dataclass(frozen=True, slots=True)
class NoRecord:
    """A hole in the place of records; the other attributes are those that aiokafka's records have."""

    hole: Hole
    topic: str
    timestamp: int
    timestamp_type: int
    key: None = None
    value: None = None
    headers: tuple[()] = ()

    @property
    def partition(self) -> int:
        """Of the topic."""
        return self.hole.partition

    @property
    def offset(self) -> int:
        """The hole's last offset."""
        return self.hole.next - 1


class Batches:
    """What a broker sent of one partition, cut into batches; takes the place of aiokafka's ``MemoryRecords``.

    Args:
        data: whole batches, and perhaps the beginning of another one.
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        """Of all that was sent."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether another batch is there, to its end."""
        return self.following_offset() is not None and self._end() <= len(self._data)

    def following_offset(self) -> int | None:
        """The first offset of the next batch; None if nothing of one is there."""
        if len(self._data) - self._at < _LENGTH.size:
            return None
        return int(_LENGTH.unpack_from(self._data, self._at)[0])

    def next_batch(self) -> Batch:
        """The next batch."""
        begin, self._at = self._at, self._end()
        return Batch(self._data[begin : self._at])

    def _end(self) -> int:
        length: int = _LENGTH.unpack_from(self._data, self._at)[1]
        # A damaged length leaves nothing to cut by: the rest is one damaged batch.
        return self._at + _LENGTH.size + length if length >= _LEAST_BYTES else len(self._data)


class Batch:
    """One batch: the numbers of its header, and its bytes.

    Attributes:
        data: header and records.
        is_known: whether it is of the format that brokers have written since version 0.11; otherwise only
            ``base_offset`` means anything.
    """

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.base_offset: int = _LENGTH.unpack_from(data)[0]
        self.is_known = len(data) >= _HEADER.size and data[_MAGIC_AT] == _MAGIC
        if self.is_known:
            _, _, _, _, _, self.attributes, self.last_offset_delta, _, time_ms, self.producer_id, _, _, self.count = (
                _HEADER.unpack_from(data)
            )
        else:
            self.attributes, self.last_offset_delta, time_ms, self.producer_id, self.count = 0, 0, 0, -1, 0
        self.max_timestamp = min(max(time_ms, 0), MAX_TIME_US // 1_000)

    @property
    def next_offset(self) -> int:
        """One after its last offset."""
        return int(self.base_offset + self.last_offset_delta + 1)

    @property
    def timestamp_type(self) -> int:
        """1 if the broker set the times of its records."""
        return int(bool(self.attributes & _DefaultRecordBatchPy.TIMESTAMP_TYPE_MASK))

    @property
    def is_transactional(self) -> bool:
        """Whether its records belong to a transaction."""
        return bool(self.attributes & _DefaultRecordBatchPy.TRANSACTIONAL_MASK)

    @property
    def is_control_batch(self) -> bool:
        """Whether it holds a transaction's marker."""
        return bool(self.attributes & _DefaultRecordBatchPy.CONTROL_MASK)

    def validate_crc(self) -> bool:
        """Whether its checksum is right; of an unknown format nothing can be said."""
        return not self.is_known or bool(DefaultRecordBatch(self.data).validate_crc())


class Unreadable(Exception):
    """A batch that cannot be unpacked; the message says why. Never leaves this module."""


class BoundedResult(FetchResult):  # type: ignore[misc] # aiokafka has no types
    """What was fetched of one partition, handed on in parts of bounded size; in place of aiokafka's ``FetchResult``.

    aiokafka bounds the number of records only: a fetch of 100 kB may unpack to gigabytes.
    """

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Any]:
        """The next part; the rest stays for the next call."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        records = cast(WholeRecords, self._partition_records)
        records.begin_part()
        found = []
        for each in records:
            found.append(each)
            if records.is_part_full or (max_records is not None and len(found) >= max_records):
                self._update_position()
                return found
        self._update_position()
        self._partition_records = None
        return found


class WholeRecords(PartitionRecords):  # type: ignore[misc] # aiokafka has no types
    """Records and holes of one partition; takes the place of aiokafka's ``PartitionRecords``."""

    next_fetch_offset: int
    _suspects: ClassVar[set[tuple[Any, int]]] = set()
    """Batches whose checksum was wrong once: they are fetched again before they count as damaged."""
    _spent_bytes = 0
    _part_until = math.inf

    def begin_part(self) -> None:
        """Begin to count what is unpacked, and the time."""
        self._spent_bytes = 0
        self._part_until = time.monotonic() + _PART_SECONDS

    @property
    def is_part_full(self) -> bool:
        """Whether enough was unpacked for one part, or it took long."""
        return self._spent_bytes >= _PART_BYTES

    def _unpack_records(self) -> Iterator[Any]:
        records = self._records
        while records.has_next():
            if time.monotonic() > self._part_until:
                self._spent_bytes = _PART_BYTES
            batch = records.next_batch()
            if not batch.is_known:
                following = _end_of_damaged(batch, records.following_offset())
                yield from self._unreadable(batch, following, "its format is unknown, or its header is damaged")
                continue
            if self._check_crcs and not batch.validate_crc():
                suspect = self._tp, batch.base_offset
                if suspect not in self._suspects:
                    self._suspects.add(suspect)
                    _log.warning("%s offset %d: wrong checksum; the batch is fetched again", *suspect)
                    return
                self._suspects.discard(suspect)
                following = _end_of_damaged(batch, records.following_offset())
                yield from self._unreadable(batch, following, "its checksum is wrong")
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
            for record in self._records_of(batch):
                expected = self.next_fetch_offset
                if record.offset < expected:
                    continue
                if record.offset >= batch.next_offset:
                    raise Unreadable(f"it has a record at offset {record.offset}, outside of it")
                if record.offset > expected:
                    yield self._hole(batch, record.offset, HoleKind.DELETED)
                found = self._consumer_record(tp, record)
                self.next_fetch_offset = record.offset + 1
                yield found
        except MemoryError:
            raise
        except Exception as error:
            # Whatever the bytes of a batch do to the code that unpacks them, the next batch can be read.
            cause = str(error) if isinstance(error, Unreadable | KafkaError) else type(error).__name__
            yield from self._unreadable(batch, batch.next_offset, cause)
            return
        if batch.next_offset > self.next_fetch_offset:
            yield self._hole(batch, batch.next_offset, HoleKind.DELETED)

    def _records_of(self, batch: Batch) -> Iterator[Any]:
        """The records of a batch; from the first whose header names are not UTF-8 on, with aiokafka's slower code.

        Clients in C and Go can write such names and brokers accept them. Each undecodable byte is written as ``\\xNN``.
        """
        try:
            data = unpacked(batch)
        except Unreadable:
            self._spent_bytes += MOST_UNPACKED_BYTES
            raise
        if data is None:
            data = batch.data
        else:
            self._spent_bytes += len(data)
        try:
            yield from DefaultRecordBatch(data)
        except UnicodeDecodeError:
            expected = self.next_fetch_offset
            yield from (record for record in _TolerantBatch(data) if record.offset >= expected)

    def _holes(self, batch: Batch, kind: HoleKind) -> Iterator[NoRecord]:
        """The offsets before a batch that are not there any more, and the batch's own."""
        if batch.base_offset > self.next_fetch_offset:
            yield self._hole(batch, batch.base_offset, HoleKind.DELETED)
        if batch.next_offset > self.next_fetch_offset:
            yield self._hole(batch, batch.next_offset, kind)

    def _unreadable(self, batch: Batch, following: int, cause: str) -> Iterator[NoRecord]:
        if batch.base_offset > self.next_fetch_offset:
            yield self._hole(batch, batch.base_offset, HoleKind.DELETED)
        if following > self.next_fetch_offset:
            first = self.next_fetch_offset
            _log.error("%s offsets [%d, %d) cannot be read and are lost: %s", self._tp, first, following, cause)
            yield self._hole(batch, following, HoleKind.UNREADABLE, cause[:_MOST_CAUSE].replace("\0", ""))

    def _hole(self, batch: Batch, following: int, kind: HoleKind, cause: str = "") -> NoRecord:
        tp, first, time_ms = self._tp, self.next_fetch_offset, batch.max_timestamp
        self.next_fetch_offset = following
        hole = Hole(tp.partition, first, following, kind, time_ms * 1_000, cause)
        return NoRecord(hole, tp.topic, time_ms, batch.timestamp_type)


def unpacked(batch: Batch, most_bytes: int = MOST_UNPACKED_BYTES) -> memoryview | None:
    """A compressed batch without its compression.

    Args:
        batch: its checksum was found right.
        most_bytes: the limit for its records; no more memory than that is used.

    Returns:
        The bytes of the batch with its records unpacked; None where they are not compressed.

    Raises:
        Unreadable: the records unpack to more, cannot be unpacked, or are compressed in an unknown way.
    """
    codec = batch.attributes & _CODEC_MASK
    if not codec:
        return None
    whole = _decompressed(codec, bytes(batch.data[_HEADER.size :]), most_bytes)
    whole[: _HEADER.size] = batch.data[: _HEADER.size]
    _ATTRIBUTES.pack_into(whole, _ATTRIBUTES_AT, batch.attributes & ~_CODEC_MASK)
    _LENGTH.pack_into(whole, 0, batch.base_offset, len(whole) - _LENGTH.size)
    return whole


def _decompressed(codec: int, data: bytes, most_bytes: int) -> memoryview:
    """Unpacked records behind room for a batch's header."""
    if codec not in _CODECS:
        raise Unreadable(f"its compression {codec} is unknown")
    name, decompress_into = _CODECS[codec]
    room = max(_FIRST_BYTES, _GROWTH * len(data))
    while True:
        room = min(room, most_bytes)
        # numpy's memory is not written before it is used; a bytearray's is.
        out = np.empty(_HEADER.size + room, np.uint8)
        try:
            size = decompress_into(data, out[_HEADER.size :])
        except cramjam.DecompressionError as error:
            if _NO_ROOM not in str(error):
                raise Unreadable(f"{name}: {error}") from error
        else:
            return memoryview(out)[: _HEADER.size + size]  # type: ignore[arg-type] # numpy's arrays are buffers
        if room == most_bytes:
            raise Unreadable(f"it unpacks to more than {most_bytes:,} bytes")
        room *= _GROWTH


def _snappy(data: bytes, out: NDArray[np.uint8]) -> int:
    """Snappy, plain or in the blocks of the Java client (xerial: a header, then blocks behind their lengths)."""
    if not data.startswith(_XERIAL):
        return _snappy_block(data, out)
    at, size = _XERIAL_HEADER_BYTES, 0
    while at < len(data):
        if len(data) - at < _BLOCK.size:
            raise cramjam.DecompressionError("bytes behind the last block")
        (length,) = _BLOCK.unpack_from(data, at)
        at += _BLOCK.size
        if not 0 < length <= len(data) - at:
            raise cramjam.DecompressionError(f"a block of {length} bytes")
        size += _snappy_block(data[at : at + length], out[size:])
        at += length
    return size


def _snappy_block(block: bytes, out: Any) -> int:
    size = int(cramjam.snappy.decompress_raw_len(block))
    if size > len(out):
        raise cramjam.DecompressionError(_NO_ROOM)
    return int(cramjam.snappy.decompress_raw_into(block, out[:size])) if size else 0


_CODECS: dict[int, tuple[str, Callable[[Any, Any], int]]] = {
    _DefaultRecordBatchPy.CODEC_GZIP: ("gzip", cramjam.gzip.decompress_into),
    _DefaultRecordBatchPy.CODEC_SNAPPY: ("snappy", _snappy),
    _DefaultRecordBatchPy.CODEC_LZ4: ("lz4", cramjam.lz4.decompress_into),
    _DefaultRecordBatchPy.CODEC_ZSTD: ("zstd", cramjam.zstd.decompress_into),
}


def _end_of_damaged(batch: Batch, following: int | None) -> int:
    """Where a batch ends whose own header cannot be trusted, at least one offset on.

    Neither can the next batch's first offset: no checksum covers it.
    """
    if following is not None and 0 < following - batch.base_offset <= _MOST_DAMAGED:
        return following
    if 0 < batch.count == batch.last_offset_delta + 1 <= _MOST_DAMAGED:
        return batch.next_offset
    return batch.base_offset + 1


def _is_abort(batch: Batch) -> bool:
    control = next(iter(DefaultRecordBatch(batch.data)), None)
    return control is not None and ControlRecord.parse(control.key).type_ == _ABORT


class _TolerantBatch(_DefaultRecordBatchPy):  # type: ignore[misc] # final for aiokafka's own types only
    def __init__(self, buffer: memoryview) -> None:
        super().__init__(buffer)
        self._buffer: bytearray = _TolerantBytes(self._buffer)


class _TolerantBytes(bytearray):
    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        found = super().__getitem__(key)
        return _TolerantBytes(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
