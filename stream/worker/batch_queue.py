"""Queue of chunks to decide, cut into batches of bounded work that take the partitions in turn.

Records and estimated work (:mod:`stream.worker.estimated_work`) bound a batch. Partitions take turns, so that a
partition with expensive texts delays the others by about one batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stream.worker.estimated_work import estimated_work_us
from stream.worker.transport import Chunk

Acknowledge = Callable[[], object]
MOST_WORK_US = 1_200_000.0
"""Maximum estimated work of one batch, unless a single record takes more."""
_PENDING_BATCHES = 3


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive records of a chunk.

    Attributes:
        records: aiokafka's records and the holes between them, in offset order.
        work_us: estimated microseconds to decide them.
        generation_id: id of the assignment they were fetched for.
        acknowledge: acknowledges the chunk; None for all pieces but its last.
    """

    records: Sequence[Any]
    work_us: float
    generation_id: int | None
    acknowledge: Acknowledge | None


class _Queue:
    """The pieces of one partition, in offset order."""

    def __init__(self) -> None:
        self.pieces: deque[Piece] = deque()
        self.records = 0
        self.work_us = 0.0

    def add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self.records += len(piece.records)
        self.work_us += piece.work_us

    def take(self) -> Piece:
        piece = self.pieces.popleft()
        self.records -= len(piece.records)
        # Sums of floats may not return to zero exactly.
        self.work_us = self.work_us - piece.work_us if self.pieces else 0.0
        return piece


class BatchQueue:
    """Queues of pieces, one for each partition that has any.

    Args:
        most_records: maximum records of one batch.
        most_work_us: maximum estimated work of one batch, microseconds, unless a single record takes more.
        work_us: estimates the work of a value; the estimate of joined values is the sum.
    """

    def __init__(
        self,
        most_records: int,
        most_work_us: float = MOST_WORK_US,
        work_us: Callable[[bytes | None], float] = estimated_work_us,
    ) -> None:
        self._most_records = most_records
        self._most_work_us = most_work_us
        self._estimate_us = work_us
        self._queues: dict[int, _Queue] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def is_full(self, partition: int) -> bool:
        """Return whether three batches of a partition are pending."""
        queue = self._queues.get(partition)
        return queue is not None and (
            queue.records >= _PENDING_BATCHES * self._most_records
            or queue.work_us >= _PENDING_BATCHES * self._most_work_us
        )

    def add(self, chunk: Chunk, acknowledge: Acknowledge) -> None:
        """Append a chunk to the queue of its partition."""
        queue = self._queues.setdefault(chunk.partition, _Queue())
        runs = list(self._cut(chunk.records))
        for number, (records, work_us) in enumerate(runs, start=1):
            last = acknowledge if number == len(runs) else None
            queue.add(Piece(records, work_us, chunk.generation_id, last))

    def take(self) -> list[Piece]:
        """Remove and return the next batch: pieces of the partitions in turn; empty when nothing is pending."""
        taken: list[Piece] = []
        records, work_us = 0, 0.0
        while self._queues:
            partition, queue = next(iter(self._queues.items()))
            first = queue.pieces[0]
            is_over = records + len(first.records) > self._most_records or work_us + first.work_us > self._most_work_us
            if taken and is_over:
                break
            taken.append(queue.take())
            records += len(first.records)
            work_us += first.work_us
            # A dict keeps insertion order: the partition moves to the end.
            del self._queues[partition]
            if queue.pieces:
                self._queues[partition] = queue
        return taken

    def clear(self) -> None:
        """Remove everything."""
        self._queues.clear()

    def _cut(self, records: Sequence[Any]) -> Iterator[tuple[Sequence[Any], float]]:
        for first in range(0, len(records), self._most_records):
            run = records[first : first + self._most_records]
            # One estimate for all bytes together is cheaper.
            work_us = self._estimate_us(b"".join(record.value or b"" for record in run))
            if work_us <= self._most_work_us:
                yield run, work_us
            else:
                yield from self._cut_by_work(run)

    def _cut_by_work(self, records: Sequence[Any]) -> Iterator[tuple[Sequence[Any], float]]:
        first, work_us = 0, 0.0
        for index, record in enumerate(records):
            record_us = self._estimate_us(record.value)
            if index > first and work_us + record_us > self._most_work_us:
                yield records[first:index], work_us
                first, work_us = index, 0.0
            work_us += record_us
        yield records[first:], work_us
