"""aiokafka's unpacking of what a broker sends, made to accept header names that are not UTF-8.

Clients in C and Go can write such names and brokers accept them; aiokafka raises UnicodeDecodeError and would do so at
every start. Here the batch is unpacked again by aiokafka's Python code, which is slower, with each undecodable byte
written as ``\\xNN``. Batches without such names are unpacked as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, SupportsIndex, cast

import aiokafka.consumer.fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy


def install() -> None:
    """Have every consumer of this process unpack with :class:`TolerantRecords`."""
    aiokafka.consumer.fetcher.MemoryRecords = TolerantRecords


class TolerantRecords:
    """Batches of one partition, one after another, as aiokafka's ``MemoryRecords`` gives them.

    Args:
        data: what the broker sent of the partition.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._strict = MemoryRecords(data)
        self._given = 0
        # Goes through the data once, up to the last batch that was unpacked again.
        self._again: _MemoryRecordsPy | None = None
        self._again_at = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._strict, name)

    def next_batch(self) -> _Batch | None:
        """The next batch; None at the end."""
        batch = self._strict.next_batch()
        if batch is None:
            return None
        number, self._given = self._given, self._given + 1
        return _Batch(batch, lambda: self._tolerant(number))

    def _tolerant(self, number: int) -> _TolerantBatch:
        records = self._again = self._again or _MemoryRecordsPy(self._data)
        while self._again_at < number:
            records.next_batch()
            self._again_at += 1
        return _TolerantBatch(cast(memoryview, records._next_slice))


class _Batch:
    """One batch, unpacked once with aiokafka's fast code, and again only where that cannot read a header's name."""

    def __init__(self, strict: Any, tolerant: Callable[[], _TolerantBatch]) -> None:
        self._strict = strict
        self._tolerant = tolerant

    def __getattr__(self, name: str) -> Any:
        return getattr(self._strict, name)

    def __next__(self) -> Any:
        return next(self._strict)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._strict))
        except UnicodeDecodeError:
            return iter(self._tolerant())


class _TolerantBatch(_DefaultRecordBatchPy):  # type: ignore[misc] # final for aiokafka's own types only
    def __init__(self, buffer: memoryview) -> None:
        super().__init__(buffer)
        self._buffer: bytearray = _TolerantBytes(self._buffer)

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _TolerantBytes(self._buffer)


class _TolerantBytes(bytearray):
    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        found = super().__getitem__(key)
        return _TolerantBytes(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
