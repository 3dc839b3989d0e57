"""Record batches as bytes: cut, their headers read, and their records unpacked within a limit.

The layout: https://kafka.apache.org/documentation/#recordbatch.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, SupportsIndex

import cramjam
import numpy as np
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.util import decode_varint_py
from numpy.typing import NDArray

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
_ATTRIBUTES = struct.Struct(">H")
_ATTRIBUTES_AT = _DefaultRecordBatchPy.ATTRIBUTES_OFFSET
_CODEC_MASK = _DefaultRecordBatchPy.CODEC_MASK
_NO_ROOM = "failed to write whole buffer"
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16


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
        return self.next_base_offset() is not None and self._end() <= len(self._data)

    def next_base_offset(self) -> int | None:
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


class TolerantBatch(_DefaultRecordBatchPy):  # type: ignore[misc] # final for aiokafka's own types only
    """aiokafka's slower code; a byte of a header's name that is not UTF-8 is written as ``\\xNN``."""

    def __init__(self, buffer: memoryview) -> None:
        super().__init__(buffer)
        self._buffer: bytearray = _TolerantBytes(self._buffer)

    def _read_msg(self) -> Any:
        # The default reads numbers with compiled code that does not look where the buffer ends: a damaged length would
        # end the process.
        return super()._read_msg(decode_varint_py)


class _TolerantBytes(bytearray):
    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        found = super().__getitem__(key)
        return _TolerantBytes(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
