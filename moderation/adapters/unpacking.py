"""What a broker sends of a partition, unpacked so that nothing in it ends the reader and no offset is passed over.

aiokafka's own unpacking leaves out offsets without a word, raises at the first thing it cannot read, at every start
again, and decompresses without a limit. Here the offsets between records are handed on as holes with their kind
(:class:`moderation.contracts.HoleKind`), in the place of the records.

The layout of batches and records: https://kafka.apache.org/documentation/#recordbatch.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, SupportsIndex

import aiokafka.consumer.fetcher
import cramjam
import numpy as np
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.control_record import ControlRecord
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.legacy_records import LegacyRecordBatch
from numpy.typing import NDArray

from moderation.contracts import Hole, HoleKind

MOST_UNPACKED_BYTES = 64 * 1024 * 1024
"""Of one batch; producers send a mebibyte unless they were told otherwise."""
_FIRST_BYTES = 64 * 1024
_GROWTH = 8
_HEADER = _DefaultRecordBatchPy.HEADER_STRUCT
_LENGTH = struct.Struct(">qi")
_COUNT = struct.Struct(">i")
_BLOCK = struct.Struct(">i")
_MAGIC_AT = 16
_LEAST_BYTES = 14
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
        if length < _LEAST_BYTES:
            raise CorruptRecordException(f"a batch of {length} bytes")
        return self._at + _LENGTH.size + length


class Batch:
    """One batch: aiokafka's view of it, and its bytes."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.magic = data[_MAGIC_AT]
        self.parsed = DefaultRecordBatch(data) if self.magic >= 2 else LegacyRecordBatch(data, self.magic)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.parsed, name)


class Unreadable(Exception):
    """A batch that cannot be unpacked; the message says why. Never leaves this module."""


class WholeRecords(PartitionRecords):  # type: ignore[misc] # aiokafka has no types
    """Records and holes of one partition; takes the place of aiokafka's ``PartitionRecords``."""

    next_fetch_offset: int
    _suspects: ClassVar[set[tuple[Any, int]]] = set()
    """Batches whose checksum was wrong once: they are fetched again before they count as damaged."""

    def _unpack_records(self) -> Iterator[Any]:
        records = self._records
        while records.has_next():
            batch = records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                suspect = self._tp, batch.base_offset
                if suspect not in self._suspects:
                    self._suspects.add(suspect)
                    _log.warning("%s offset %d: wrong checksum; the batch is fetched again", *suspect)
                    return
                self._suspects.discard(suspect)
                yield from self._unreadable(
                    batch, _end_of_damaged(batch, records.following_offset()), "its checksum is wrong"
                )
                continue
            is_committed_only = self._isolation_level == READ_COMMITTED and batch.producer_id is not None
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

    def _readable(self, batch: Any) -> Iterator[Any]:
        tp = self._tp
        try:
            for record in _records_of(batch, lambda: self.next_fetch_offset):
                expected = self.next_fetch_offset
                if record.offset < expected:
                    continue
                if record.offset >= batch.next_offset and batch.magic >= 2:
                    raise Unreadable(f"it has a record at offset {record.offset}, outside of it")
                if record.offset > expected:
                    yield self._hole(batch, record.offset, HoleKind.DELETED)
                found = self._consumer_record(tp, record)
                self.next_fetch_offset = record.offset + 1
                yield found
        except (Unreadable, CorruptRecordException) as error:
            yield from self._unreadable(batch, batch.next_offset, str(error))
            return
        if batch.next_offset > self.next_fetch_offset:
            yield self._hole(batch, batch.next_offset, HoleKind.DELETED)

    def _holes(self, batch: Any, kind: HoleKind) -> Iterator[NoRecord]:
        """The offsets before a batch that are not there any more, and the batch's own."""
        if batch.base_offset > self.next_fetch_offset:
            yield self._hole(batch, batch.base_offset, HoleKind.DELETED)
        if batch.next_offset > self.next_fetch_offset:
            yield self._hole(batch, batch.next_offset, kind)

    def _unreadable(self, batch: Any, following: int, cause: str) -> Iterator[NoRecord]:
        if batch.base_offset > self.next_fetch_offset:
            yield self._hole(batch, batch.base_offset, HoleKind.DELETED)
        if following > self.next_fetch_offset:
            first = self.next_fetch_offset
            _log.error("%s offsets [%d, %d) cannot be read and are lost: %s", self._tp, first, following, cause)
            yield self._hole(batch, following, HoleKind.UNREADABLE, cause[:_MOST_CAUSE].replace("\0", ""))

    def _hole(self, batch: Any, following: int, kind: HoleKind, cause: str = "") -> NoRecord:
        tp, first, time_ms = self._tp, self.next_fetch_offset, max(batch.max_timestamp or 0, 0)
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
    codec = int(batch.attributes) & _CODEC_MASK
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
        (length,) = _BLOCK.unpack_from(data, at)
        at += _BLOCK.size
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


def _records_of(batch: Batch, following: Callable[[], int]) -> Iterator[Any]:
    """The records of a batch; from the first whose header names are not UTF-8 on, with aiokafka's slower code.

    Clients in C and Go can write such names and brokers accept them. Each undecodable byte is written as ``\\xNN``.

    Args:
        batch: not yet iterated.
        following: gives the offset that is expected next.
    """
    if batch.magic < 2:
        yield from batch.parsed
        return
    data = unpacked(batch)
    try:
        yield from batch.parsed if data is None else DefaultRecordBatch(data)
    except UnicodeDecodeError:
        expected = following()
        tolerant = _TolerantBatch(batch.data if data is None else data)
        yield from (record for record in tolerant if record.offset >= expected)


def _end_of_damaged(batch: Batch, following: int | None) -> int:
    """Where a batch ends whose own header cannot be trusted, at least one offset on."""
    if following is not None and following > batch.base_offset:
        return following
    (count,) = _COUNT.unpack_from(batch.data, _HEADER.size - _COUNT.size)
    if 0 < count == batch.last_offset_delta + 1:
        return int(batch.next_offset)
    return int(batch.base_offset) + 1


def _is_abort(batch: Batch) -> bool:
    control = next(iter(batch.parsed), None)
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
