"""Parse record batches: split bytes into batches, read headers, and decompress records within a limit.

The format: https://kafka.apache.org/documentation/#recordbatch.
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
"""Limit of one decompressed batch; the default limit of producers is one mebibyte."""
_FIRST_BYTES = 64 * 1024
_GROWTH = 8
_HEADER = _DefaultRecordBatchPy.HEADER_STRUCT
_LENGTH = struct.Struct(">qi")
_BLOCK = struct.Struct(">i")
_MAGIC_AT = 16
_MAGIC = 2
_LEAST_BYTES = 49
"""Length of a batch without records, after the fields of base offset and length."""
_ATTRIBUTES = struct.Struct(">H")
_ATTRIBUTES_AT = _DefaultRecordBatchPy.ATTRIBUTES_OFFSET
_CODEC_MASK = _DefaultRecordBatchPy.CODEC_MASK
_NO_ROOM = "failed to write whole buffer"
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16


class Batches:
    """The batches in a fetch response of one partition; replaces aiokafka's ``MemoryRecords``.

    Args:
        data: complete batches, and perhaps the beginning of another one.
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._position = 0

    def size_in_bytes(self) -> int:
        """Size of the response."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether another complete batch follows."""
        return self.next_base_offset() is not None and self._end() <= len(self._data)

    def next_base_offset(self) -> int | None:
        """The first offset of the next batch; None if there is none."""
        if len(self._data) - self._position < _LENGTH.size:
            return None
        return int(_LENGTH.unpack_from(self._data, self._position)[0])

    def next_batch(self) -> Batch:
        """Return the next batch."""
        begin, self._position = self._position, self._end()
        return Batch(self._data[begin : self._position])

    def _end(self) -> int:
        length: int = _LENGTH.unpack_from(self._data, self._position)[1]
        # With a damaged length the rest counts as one damaged batch.
        return self._position + _LENGTH.size + length if length >= _LEAST_BYTES else len(self._data)


class Batch:
    """A record batch: header fields and bytes.

    Attributes:
        data: header and records.
        is_known: whether it has the format of brokers since version 0.11; otherwise only ``base_offset`` is valid.
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
        """Whether it contains the marker of a transaction."""
        return bool(self.attributes & _DefaultRecordBatchPy.CONTROL_MASK)

    def validate_crc(self) -> bool:
        """Whether its checksum is correct; True for an unknown format, which is not checked."""
        return not self.is_known or bool(DefaultRecordBatch(self.data).validate_crc())


class Unreadable(Exception):
    """A batch cannot be unpacked; the message states the reason. Callers of the reader never see it."""


def unpacked(batch: Batch, most_bytes: int = MOST_UNPACKED_BYTES) -> memoryview | None:
    """Decompress a batch.

    Args:
        batch: a batch with a correct checksum.
        most_bytes: limit of the decompressed records, and of the memory used for them.

    Returns:
        The bytes of the batch with decompressed records; None if they are not compressed.

    Raises:
        Unreadable: the limit is exceeded, the data is damaged, or the compression is unknown.
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
    """Decompressed records, preceded by space for the header of the batch."""
    if codec not in _CODECS:
        raise Unreadable(f"its compression {codec} is unknown")
    name, decompress_into = _CODECS[codec]
    room = max(_FIRST_BYTES, _GROWTH * len(data))
    while True:
        room = min(room, most_bytes)
        # np.empty does not touch its memory before use; bytearray does.
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
    """Snappy, plain or in the block format of the Java client (xerial: a header, then blocks with length prefixes)."""
    if not data.startswith(_XERIAL):
        return _snappy_block(data, out)
    position, size = _XERIAL_HEADER_BYTES, 0
    while position < len(data):
        if len(data) - position < _BLOCK.size:
            raise cramjam.DecompressionError("bytes behind the last block")
        (length,) = _BLOCK.unpack_from(data, position)
        position += _BLOCK.size
        if not 0 < length <= len(data) - position:
            raise cramjam.DecompressionError(f"a block of {length} bytes")
        size += _snappy_block(data[position : position + length], out[size:])
        position += length
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


class TolerantBatch(_DefaultRecordBatchPy):  # type: ignore[misc] # aiokafka has no types
    """aiokafka's pure Python reader; a byte of a header name that is not UTF-8 becomes ``\\xNN``."""

    def __init__(self, buffer: memoryview) -> None:
        super().__init__(buffer)
        self._buffer: bytearray = _TolerantBytes(self._buffer)

    def _read_msg(self) -> Any:
        # The default decodes numbers with compiled code without bounds checks: a damaged length would crash the
        # process.
        return super()._read_msg(decode_varint_py)


class _TolerantBytes(bytearray):
    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        item = super().__getitem__(key)
        return _TolerantBytes(item) if isinstance(item, bytearray) else item

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
