"""Faust's aiokafka transport with two changes: it seeks to the ledger's offsets, and it passes on chunks of records.

Faust wraps every Kafka record in a message, an event, a queue entry and up to four asyncio tasks before an agent sees
it, which limits a worker to a few thousand records a second. Here one Faust message carries the records that one fetch
returned for one partition, so that Faust's work is done once per chunk. Faust still handles groups, rebalances, buffers
and acknowledgements.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import faust
from aiokafka.errors import ConsumerStoppedError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from stream.worker import metrics
from stream.worker.faust_internals import FetchSettings, pace_fetching, read_committed


@dataclass(frozen=True, slots=True)
class Start:
    """Start position of a partition.

    Attributes:
        offset: offset of the first record to decide.
        last_append_us: expected append time of the record before it; None to start at ``offset`` itself.
    """

    offset: int
    last_append_us: int | None = None


Seek = Callable[[set[TP]], Awaitable[Mapping[TP, Start]]]
OnLastRecordMismatch = Callable[[TP, int, int], None]
Release = Callable[[], Awaitable[None]]
OnOffsetReset = Callable[[TP, int], Awaitable[None]]
_POLL_SECONDS = 1.0
_GATHER_SECONDS = 0.04
_FULL_SECONDS = 0.03
"""Pause before a partition with enough pending records is checked again."""
_AT_ONCE = FetchSettings(least_bytes=1, most_wait_ms=1_500)
_GATHERED = FetchSettings(least_bytes=1024 * 1024, most_wait_ms=round(_GATHER_SECONDS * 1_000))


class Chunk(ConsumerMessage):
    """Records that one fetch returned for one partition, as one Faust message. Its offset is that of the last record.

    Attributes:
        records: aiokafka's records and the holes between them, in offset order, at least one.
    """

    __slots__ = ("records",)

    def __init__(self, tp: TP, records: Sequence[Any], generation_id: int) -> None:
        last = records[-1]
        super().__init__(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1_000,
            last.timestamp_type,
            None,
            None,
            b"",
            None,
            tp=tp,
            generation_id=generation_id,
        )
        self.records = records


class CommittedConsumerThread(driver.AIOKafkaConsumerThread):
    """Consumer thread that reads committed records only."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        read_committed(consumer)
        return consumer


class LedgerConsumer(driver.Consumer):
    """Starts every assignment at the ledger's offsets instead of the group's offsets; passes on chunks."""

    _fetched_at = -math.inf
    _last_append_us: dict[TP, int]

    def _new_consumer_thread(self) -> CommittedConsumerThread:
        return CommittedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Release partitions once their current batches are finished, so that the next owner starts after them."""
        await cast(LedgerTransport, self.transport).release()
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Seek to the ledger's positions of the assigned partitions.

        Faust calls this after each assignment and after its own callbacks, and awaits it before fetching.
        """
        await super().perform_seek()
        assigned = self.assignment()
        if not assigned:
            return
        starts = await cast(LedgerTransport, self.transport).seek_positions(assigned)
        # The record before the first one is read as well and compared with the ledger.
        self._last_append_us = {tp: us for tp, start in starts.items() if (us := start.last_append_us) is not None}
        await self.seek_wait({tp: start.offset - (tp in self._last_append_us) for tp, start in starts.items()})
        for tp, start in starts.items():
            self._read_offset[tp] = start.offset or None
            self._committed_offset[tp] = start.offset or None

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow.wait())
                # Records fetched for an assignment that ended meanwhile are dropped: the next assignment seeks again.
                generation_id = self.app.consumer_generation_id
                fetched, _ = await self._wait_next_records(_POLL_SECONDS)
                if self.should_stop:
                    return
                if fetched:
                    self._pace_fetching()
                for topic_partition, records in (fetched or {}).items():
                    tp = TP(topic_partition.topic, topic_partition.partition)
                    read = self._read_offset[tp]
                    is_awaited = self._compare_last(tp, read, records[0])
                    if read is not None and records[0].offset < read and not is_awaited:
                        await cast(LedgerTransport, self.transport).on_offset_reset(tp, read)
                    fresh = [record for record in records if read is None or record.offset >= read]
                    if not fresh or not self.flow_active or generation_id != self.app.consumer_generation_id:
                        continue
                    metrics.FETCH_RECORDS.observe(len(fresh))
                    self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                    # A full buffer blocks this call and thus fetching; a rebalance interrupts it.
                    await self.wait_first(self.callback(Chunk(tp, fresh, generation_id)), self.suspend_flow.wait())
                    self._read_offset[tp] = fresh[-1].offset + 1
        except (ConsumerStoppedError, asyncio.CancelledError):
            if not self.transport.app.should_stop:
                raise

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        # Chunks share one queue: a partition with enough pending records would block the others.
        is_full = cast(LedgerTransport, self.transport).is_full
        wanted = {tp for tp in active_partitions or () if not is_full(tp.partition)}
        if not wanted:
            await self.sleep(_FULL_SECONDS)
            return {}
        if len(wanted) < len(active_partitions or ()):
            timeout = min(timeout, _FULL_SECONDS)
        return await super()._getmany(wanted, timeout)

    def _compare_last(self, tp: TP, read: int | None, record: Any) -> bool:
        """Return whether a record is the one before the start offset, after comparing it with the ledger."""
        expected_us = self._last_append_us.pop(tp, None)
        if expected_us is None or read is None or record.offset != read - 1:
            return False
        if record.timestamp * 1_000 != expected_us:
            cast(LedgerTransport, self.transport).on_last_record_mismatch(tp, record.offset, record.timestamp * 1_000)
        return True

    def _pace_fetching(self) -> None:
        # Each fetch has a fixed cost. Fetches that return with their first record follow each other without pause and
        # take interpreter time from deciding, which increased latency at half load.
        now = time.monotonic()
        is_steady = now - self._fetched_at < 2 * _GATHER_SECONDS
        self._fetched_at = now
        pace_fetching(cast(faust.App, self.app), _GATHERED if is_steady else _AT_ONCE)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: Faust's detector does not know chunks and only logs. The watchdog detects stuck workers."""

    def _new_offset(self, tp: TP) -> int | None:
        # Chunks are acknowledged whole and in order, each by its last offset, so the newest covers all before it.
        acked = self._acked[tp]
        if not acked:
            return None
        newest = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return int(newest) + 1


class LedgerTransport(driver.Transport):
    """Transport that creates :class:`LedgerConsumer`.

    Args:
        url: Faust's broker URLs.
        app: the Faust app.
        seek_positions: returns the start positions of an assignment.
        release: finishes the current batches; awaited before partitions are released to the group.
        on_offset_reset: called if records are from before the requested offset. The consumer resets to the start if the
            offset does not exist: the topic may have been re-created, or have lost records.
        is_full: returns whether fetching of a partition must pause.
        on_last_record_mismatch: called with partition, offset and append time of a record that differs from the
            ledger's.
    """

    Consumer = LedgerConsumer

    def __init__(
        self,
        url: Any,
        app: Any,
        seek_positions: Seek,
        release: Release,
        on_offset_reset: OnOffsetReset,
        on_last_record_mismatch: OnLastRecordMismatch,
        is_full: Callable[[int], bool],
    ) -> None:
        super().__init__(url, app)
        self.seek_positions = seek_positions
        self.release = release
        self.on_offset_reset = on_offset_reset
        self.on_last_record_mismatch = on_last_record_mismatch
        self.is_full = is_full
