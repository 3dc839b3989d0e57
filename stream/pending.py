"""Chunks that wait to be decided, cut so that no batch takes long: by records, and by bytes for long texts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stream.transport import Chunk

Acknowledge = Callable[[], object]
MOST_BYTES = 1024 * 1024
"""Of one batch, unless a single record is larger: text that is hostile on purpose takes seconds a megabyte."""
_PENDING_BATCHES = 3


@dataclass(frozen=True, slots=True)
class Piece:
    """Neighbouring records of a chunk.

    Attributes:
        records: aiokafka's and the holes between them, in offset order.
        size_bytes: of their values.
        generation_id: of the assignment they were fetched for.
        acknowledge: acknowledges the chunk; None for all pieces but its last.
    """

    records: Sequence[Any]
    size_bytes: int
    generation_id: int | None
    acknowledge: Acknowledge | None


class Pending:
    """A queue of pieces.

    Args:
        most_records: of one batch.
        most_bytes: of one batch, unless a single record is larger.
    """

    def __init__(self, most_records: int, most_bytes: int = MOST_BYTES) -> None:
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._pieces: deque[Piece] = deque()
        self._records = 0
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._pieces)

    @property
    def is_full(self) -> bool:
        """Whether three batches wait."""
        return (
            self._records >= _PENDING_BATCHES * self._most_records or self._bytes >= _PENDING_BATCHES * self._most_bytes
        )

    def add(self, chunk: Chunk, acknowledge: Acknowledge) -> None:
        """Put a chunk behind the others."""
        runs = list(self._cut(chunk.records))
        for number, (records, size_bytes) in enumerate(runs, start=1):
            last = acknowledge if number == len(runs) else None
            self._pieces.append(Piece(records, size_bytes, chunk.generation_id, last))
            self._records += len(records)
            self._bytes += size_bytes

    def take(self) -> list[Piece]:
        """The next batch; empty when nothing is pending."""
        taken: list[Piece] = []
        records = size_bytes = 0
        while self._pieces:
            following = self._pieces[0]
            is_over = (
                records + len(following.records) > self._most_records
                or size_bytes + following.size_bytes > self._most_bytes
            )
            if taken and is_over:
                break
            taken.append(self._pieces.popleft())
            records += len(following.records)
            size_bytes += following.size_bytes
        self._records -= records
        self._bytes -= size_bytes
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()
        self._records = self._bytes = 0

    def _cut(self, records: Sequence[Any]) -> Iterator[tuple[Sequence[Any], int]]:
        first = size_bytes = 0
        for place, record in enumerate(records):
            size = len(record.value or b"")
            if place > first and (place - first >= self._most_records or size_bytes + size > self._most_bytes):
                yield records[first:place], size_bytes
                first, size_bytes = place, 0
            size_bytes += size
        yield records[first:], size_bytes
