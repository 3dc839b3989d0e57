"""Pipeline of three stages with a thread each: while batch n is stored, n+1 is decided and n−1 is published.

    chunks ─► [ pending ] ─► decide ─► store ─► acknowledge ─► publish
                  ▲ full: the stream waits, and fetching stops

A batch has all records that are pending when the decide stage becomes free, up to a limit: one comment on an idle
stream, thousands under load. At most one batch is being stored and one is being published. Batches are stored in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from moderation.adapters import error_origin
from moderation.adapters.kafka.batch_unpacker import HoleRecord
from moderation.contracts import Hole, replay_headers
from moderation.ledger import Position
from stream.worker import metrics, probe
from stream.worker.batch_queue import Acknowledge, BatchQueue, Piece
from stream.worker.decider import Decider
from stream.worker.messages import Decided, Publication, Record, RecordPosition, ServingModel
from stream.worker.process_exit import leave
from stream.worker.publication import Publishing, Topics
from stream.worker.recorder import Recorder
from stream.worker.transport import Chunk

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Faults(Protocol):
    """Fault points; see :mod:`stream.worker.fault_points`."""

    def trigger(self, point: Any) -> None:
        """Execute the order for this point, if any."""


@dataclass(frozen=True, slots=True)
class _BatchInput:
    """Input of a batch."""

    acknowledgements: Sequence[Acknowledge]
    records: Sequence[Record]
    holes: Sequence[Hole]
    failing: Mapping[RecordPosition, str]


async def _no_partitions() -> set[int]:
    return set()


class Pipeline:
    """Decides, stores and publishes chunks in order. An error ends the process unless a record causes it.

    Args:
        decider, recorder, publisher: the stages.
        model: returns the model to decide with; called once per batch.
        most_records: maximum records of one batch.
        faults: fault points of chaos runs.
    """

    def __init__(
        self,
        decider: Decider,
        recorder: Recorder,
        publisher: Topics,
        model: Callable[[], ServingModel],
        most_records: int,
        faults: Faults,
    ) -> None:
        self._decider = decider
        self.recorder = recorder
        self._model = model
        self._faults = faults
        # One record at a time, and none is read before the previous one is stored: if the process ends, the next
        # record is the cause.
        self._is_careful = most_records == 1
        self._deciding = ThreadPoolExecutor(1, thread_name_prefix="decide")
        self._storing = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self.publishing = Publishing(
            publisher, recorder, self.in_ledger_thread, lambda: faults.trigger("before_publish")
        )
        self._pending = BatchQueue(most_records)
        self._changed = asyncio.Condition()
        self._turn = asyncio.Lock()
        self._generation_id: int | None = None
        self._storing_now: asyncio.Task[None] | None = None
        self._decided_again: Decider | None = None
        self._is_narrowing = False
        self._suspected: set[int] = set()
        self._is_ending = False
        self._sending_now: asyncio.Task[None] | None = None

    async def add(self, chunk: Chunk, acknowledge: Acknowledge) -> None:
        """Add a chunk; wait while too many chunks of its partition are pending.

        Args:
            chunk: the next chunk of its partition.
            acknowledge: called on the event loop once the whole chunk is stored.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: not self._pending.is_full(chunk.partition))
            self._pending.add(chunk, acknowledge)
            self._changed.notify_all()

    async def run(self) -> None:
        """Process batches until cancelled."""
        try:
            while True:
                async with self._changed:
                    await self._changed.wait_for(self._pending.__bool__)
                async with self._turn:
                    await self._decide_next()
        except Exception as error:
            leave(error)

    async def assign(
        self,
        generation_id: int,
        read_positions: Callable[[], Awaitable[Mapping[int, Position]]],
        suspected: Callable[[], Awaitable[set[int]]] = _no_partitions,
    ) -> Mapping[int, Position]:
        """Start an assignment: finish the current batches, drop pending chunks, continue at the ledger's positions.

        Args:
            generation_id: id of the assignment; chunks fetched for another one are dropped.
            read_positions: reads the ledger; called once nothing is being stored.
            suspected: returns the partitions whose next records ended processes before; called after the positions.
        """
        async with self._turn:
            await self._finish()
            async with self._changed:
                self._pending.clear()
                self._generation_id = generation_id
                self._changed.notify_all()
            positions = await read_positions()
            self._suspected = await suspected()
            self._decider.assign(positions)
            self._decided_again = None
            await self.in_ledger_thread(lambda: self.recorder.assign(positions))
            await self.publishing.take_over()
        return positions

    async def catch_up(self) -> None:
        """Publish the backlog in slices; batches are decided in between."""
        more = self.publishing.is_behind
        while more:
            async with self._turn:
                await self._finish()
                more = await self.publishing.send_slice()

    async def release(self) -> None:
        """End an assignment: finish the current batches and drop pending chunks.

        Records that are being tried in another process are not awaited, because the group waits for this worker.
        """
        self._is_ending = True
        try:
            async with self._turn:
                await self._finish()
                async with self._changed:
                    self._pending.clear()
                    self._generation_id = None
                    self._changed.notify_all()
        finally:
            self._is_ending = False

    async def note_read_to_end(self, assigned: Collection[int]) -> None:
        """Store that partitions were read to their ends, if that is due and no batch stores it.

        Nothing is stored for revoked partitions: another worker owns them.

        Args:
            assigned: partitions of this worker, to observe now.

        Raises:
            FenceLost: another worker owns a partition now.
        """
        await asyncio.get_running_loop().run_in_executor(None, self.recorder.observe_ends, assigned)
        if self.recorder.is_end_due:
            async with self._turn:
                if self._generation_id is not None:
                    await self.in_ledger_thread(self.recorder.note_read_to_end)

    async def finish(self) -> None:
        """Wait until the current batches are stored and published; pending chunks stay pending."""
        async with self._turn:
            await self._finish()

    @property
    def suspected(self) -> frozenset[int]:
        """Partitions whose next records ended processes before and for which nothing was stored since."""
        return frozenset(self._suspected)

    @property
    def is_narrowing(self) -> bool:
        """Whether the pipeline searches for the records that cause a failure; nothing is stored meanwhile."""
        return self._decider.is_narrowing or self._is_narrowing

    @property
    def is_idle(self) -> bool:
        """Whether nothing is pending or under way."""
        under_way = [task for task in (self._storing_now, self._sending_now) if task is not None and not task.done()]
        return not (self._pending or under_way or self._turn.locked())

    def is_full(self, partition: int) -> bool:
        """Return whether fetching of a partition must pause. One more chunk would make all partitions wait."""
        return self._pending.is_full(partition)

    async def in_ledger_thread(self, work: Callable[[], T]) -> T:
        """Run a function between two batches in the thread that owns the ledger."""
        return await asyncio.get_running_loop().run_in_executor(self._storing, work)

    async def _decide_next(self) -> None:
        async with self._changed:
            # A chunk that waited while the assignment changed belongs to the old assignment: it is fetched again.
            pieces = [piece for piece in self._pending.take() if piece.generation_id == self._generation_id]
            self._changed.notify_all()

        records, holes = _records(pieces), _holes(pieces)
        partitions = _partitions(records, holes) if self._suspected else frozenset()
        if self._is_careful or self._suspected & partitions:
            # A stored batch ends the suspicion against its partitions.
            await self._stored()
        try:
            failing = await self._crashing_records(records) if self._suspected & partitions else {}
        except probe.ProbeStopped:
            return  # the assignment ends; the next owner fetches these records again

        def decide() -> Decided | None:
            with metrics.STAGE_SECONDS.labels("decide").time():
                return self._decider.decide(records, self._model(), failing, holes)

        loop = asyncio.get_running_loop()
        decided = await loop.run_in_executor(self._deciding, decide)
        await self._stored()
        if self._decided_again is not None:
            # The previous batch was stored without a record that this batch assumed, so it is decided again.
            self._decider, self._decided_again = self._decided_again, None
            decided = await loop.run_in_executor(self._deciding, decide)
        if decided is not None:
            acknowledgements = [piece.acknowledge for piece in pieces if piece.acknowledge]
            taken = _BatchInput(acknowledgements, records, holes, failing)
            self._storing_now = asyncio.create_task(self._store_and_publish(taken, decided))

    async def _crashing_records(self, records: Sequence[Record]) -> dict[RecordPosition, str]:
        """Return the records of suspected partitions that end the process that decides them."""
        suspects = [record for record in records if record.partition in self._suspected]
        if not suspects:
            return {}
        self._is_narrowing = True
        try:
            look = partial(probe.find_crashing_records, suspects, lambda: not self._is_ending)
            return await asyncio.get_running_loop().run_in_executor(self._deciding, look)
        except probe.ProbeFailed as error:
            _log.warning("records cannot be tried in another process: %s; they are decided here", error)
            return {}
        finally:
            self._is_narrowing = False

    async def _store_and_publish(self, taken: _BatchInput, decided: Decided) -> None:
        try:

            def store() -> Publication:
                with metrics.STAGE_SECONDS.labels("store").time():
                    try:
                        return self.recorder.store(decided)
                    except Exception as error:
                        return self._store_without_culprits(taken, decided, error)

            publication = await self.in_ledger_thread(store)
            self._faults.trigger("after_commit")
            self._suspected -= decided.batch.ranges.keys()
            for acknowledge in taken.acknowledgements:
                acknowledge()
            await self._published()
            self._sending_now = asyncio.create_task(self._send_or_leave(publication))
        except Exception as error:
            leave(error)

    def _store_without_culprits(self, taken: _BatchInput, decided: Decided, error: Exception) -> Publication:
        """Find the records that the ledger refuses, decide the batch again without them, and store the result.

        Raises:
            Exception: the given error, if no record of the batch causes it.
        """
        if not error_origin.is_caused_by_record(error):
            raise error
        self._is_narrowing = True
        try:
            failing = self.recorder.refused(decided)
        finally:
            self._is_narrowing = False
        if not failing:
            raise error
        decider = Decider(self._decider.rules)
        decider.assign(self.recorder.positions())
        again = decider.decide(taken.records, self._model(), {**failing, **taken.failing}, taken.holes)
        if again is None:
            raise error
        publication = self.recorder.store(again)
        self._decided_again = decider
        return publication

    async def _send_or_leave(self, publication: Publication) -> None:
        try:
            await self.publishing.send(publication)
        except Exception as error:
            leave(error)

    async def _finish(self) -> None:
        await self._stored()
        await self._published()

    async def _stored(self) -> None:
        if (task := self._storing_now) is not None:
            await task
            self._storing_now = None

    async def _published(self) -> None:
        if (task := self._sending_now) is not None:
            await task
            self._sending_now = None


def _records(pieces: Sequence[Piece]) -> list[Record]:
    return [
        Record(
            record.partition,
            record.offset,
            record.timestamp * 1_000,
            record.value or b"",
            tuple(replay_headers(record.headers)) if record.headers else (),
        )
        for piece in pieces
        for record in piece.records
        if type(record) is not HoleRecord
    ]


def _partitions(records: Sequence[Record], holes: Sequence[Hole]) -> frozenset[int]:
    return frozenset({record.partition for record in records} | {hole.partition for hole in holes})


def _holes(pieces: Sequence[Piece]) -> list[Hole]:
    return [record.hole for piece in pieces for record in piece.records if type(record) is HoleRecord]
