"""Read the lines of a byte stream in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from moderation.contracts.records import MAX_RECORD_BYTES


class ChainedStream:
    """A byte stream whose first line was read already; it is read again first."""

    def __init__(self, first: bytes, stream: BinaryIO) -> None:
        self._first = first
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes; all of them if negative."""
        if not self._first:
            return self._stream.read(size)
        if size < 0:
            first, self._first = self._first, b""
            return first + self._stream.read()
        first, self._first = self._first[:size], self._first[size:]
        return first

    def readline(self, size: int) -> bytes:
        """Return the bytes up to the next line break, at most ``size``."""
        if not self._first:
            return self._stream.readline(size)
        end = self._first.find(b"\n", 0, size) + 1 or size
        line, self._first = self._first[:end], self._first[end:]
        if not self._first and not line.endswith(b"\n") and len(line) < size:
            line += self._stream.readline(size - len(line))
        return line


def read_lines(stream: BinaryIO | ChainedStream) -> Iterator[bytes]:
    """Yield the lines of a stream without their line breaks.

    A line that exceeds the size limit of a record is cut one byte after the limit, so that it is refused as too large.
    """
    most = MAX_RECORD_BYTES + 1
    while line := stream.readline(most + 1):
        if line.endswith(b"\n"):
            yield line[:-1]
            continue
        if len(line) > most:
            while (rest := stream.readline(most)) and not rest.endswith(b"\n"):
                pass
        yield line[:most]


def batches(lines: Iterable[bytes], most_lines: int, most_bytes: int = 8 * 1024 * 1024) -> Iterator[list[bytes]]:
    """Group lines into lists of at most ``most_lines``; a list also ends once it has ``most_bytes``."""
    batch: list[bytes] = []
    held_bytes = 0
    for line in lines:
        batch.append(line)
        held_bytes += len(line)
        if len(batch) >= most_lines or held_bytes >= most_bytes:
            yield batch
            batch, held_bytes = [], 0
    if batch:
        yield batch
