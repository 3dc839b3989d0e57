"""Faust's aiokafka transport, changed where it matters: where it seeks, and that it hands on chunks, not messages.

Faust wraps every Kafka record in a message, an event, a queue entry and up to four asyncio tasks before an agent sees
it, which caps a worker at a few thousand records a second. Here one Faust message carries what one fetch brought of one
partition: everything Faust does is done once a chunk. Groups, rebalances, buffers and acknowledgements stay Faust's.
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
    """Where to begin reading a partition.

    Attributes:
        offset: of the first record that is wanted.
        last_append_us: append time that the record before it must have; None to read from the first wanted one.
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
"""How soon a partition that has enough pending is looked at again."""
_AT_ONCE = FetchSettings(least_bytes=1, most_wait_ms=1_500)
_GATHERED = FetchSettings(least_bytes=1024 * 1024, most_wait_ms=round(_GATHER_SECONDS * 1_000))


class Chunk(ConsumerMessage):
    """What one fetch brought of one partition, as one Faust message. Its offset is the last record's.

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
    """The thread of a consumer that sees no record of a transaction before it is committed."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        read_committed(consumer)
        return consumer


class LedgerConsumer(driver.Consumer):
    """Starts every assignment where the ledger stands, not where Kafka's group offsets do; hands on chunks."""

    _fetched_at = -math.inf
    _last_append_us: dict[TP, int]

    def _new_consumer_thread(self) -> CommittedConsumerThread:
        return CommittedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let go of the partitions once nothing of theirs is under way: whoever gets them starts behind it."""
        await cast(LedgerTransport, self.transport).release()
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Ask the ledger for the assigned partitions' positions and seek there.

        Faust calls this after each assignment, after its own callbacks, and awaits it before fetching.
        """
        await super().perform_seek()
        assigned = self.assignment()
        if not assigned:
            return
        starts = await cast(LedgerTransport, self.transport).seek_positions(assigned)
        # The record before the first wanted one comes along, to be compared with what the ledger says of it.
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
                # What was fetched for an assignment that ended meanwhile is dropped: the next one seeks anew.
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
                    # A full buffer makes this wait, and with it the fetching; a rebalance interrupts it.
                    await self.wait_first(self.callback(Chunk(tp, fresh, generation_id)), self.suspend_flow.wait())
                    self._read_offset[tp] = fresh[-1].offset + 1
        except (ConsumerStoppedError, asyncio.CancelledError):
            if not self.transport.app.should_stop:
                raise

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        # Chunks go through one queue: a partition that has enough pending would hold up the others there.
        is_full = cast(LedgerTransport, self.transport).is_full
        wanted = {tp for tp in active_partitions or () if not is_full(tp.partition)}
        if not wanted:
            await self.sleep(_FULL_SECONDS)
            return {}
        if len(wanted) < len(active_partitions or ()):
            timeout = min(timeout, _FULL_SECONDS)
        return await super()._getmany(wanted, timeout)

    def _compare_last(self, tp: TP, read: int | None, record: Any) -> bool:
        """Whether a record is the one before the first wanted, which was asked for to be compared."""
        expected_us = self._last_append_us.pop(tp, None)
        if expected_us is None or read is None or record.offset != read - 1:
            return False
        if record.timestamp * 1_000 != expected_us:
            cast(LedgerTransport, self.transport).on_last_record_mismatch(tp, record.offset, record.timestamp * 1_000)
        return True

    def _pace_fetching(self) -> None:
        # A fetch has a cost of its own. Those that return with their first record follow each other as fast as they can
        # and take the interpreter from deciding: at half load comments waited longer for it.
        now = time.monotonic()
        is_steady = now - self._fetched_at < 2 * _GATHER_SECONDS
        self._fetched_at = now
        pace_fetching(cast(faust.App, self.app), _GATHERED if is_steady else _AT_ONCE)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: Faust's detector knows no chunks and only logs. The watchdog judges."""

    def _new_offset(self, tp: TP) -> int | None:
        # Chunks are acknowledged whole and in order, each by its last offset: the newest stands for all before it.
        acked = self._acked[tp]
        if not acked:
            return None
        newest = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return int(newest) + 1


class LedgerTransport(driver.Transport):
    """The transport that makes :class:`LedgerConsumer`.

    Args:
        url: Faust's broker URLs.
        app: the Faust app.
        seek_positions: gives where to begin for an assignment.
        release: finishes what is under way; awaited before the group is told that partitions are let go.
        check_source: called when records come from before the offset that was asked for. The consumer does that for an
            offset that is gone: the topic may have been created again, or have lost records.
        is_full: says whether no more of a partition is to be fetched now.
        refuse_last: called with place and append time of a record that is not the one the ledger knows.
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
