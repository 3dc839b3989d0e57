"""The speed layer as a Faust app: raw values in micro-batches, positions from the ledger, publishing after the commit.

Everything that touches the ledger runs in one thread of its own, in the order it was asked for: an assignment waits for
the batch under way and then reads where the ledger stands. The event loop fetches and publishes meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import faust
from faust.types import TP, EventT

from moderation.adapters.sql.batch import Position
from moderation.adapters.sql.ledger import Ledger
from moderation.adapters.sql.patient_ledger import PatientLedger
from moderation.adapters.topics import COMMENTS, describe_topic_ids, topic_uuid
from moderation.contracts import REPLAY_OF
from moderation.errors import SourceRefused
from moderation.settings import Settings, required
from stream import metrics
from stream.dead_letter_limit import DeadLetterLimit
from stream.exit_codes import leave
from stream.fault_points import FaultPoints
from stream.faust_app import new_app
from stream.model_watch import ModelWatch
from stream.processor import Processor, Published, Record
from stream.publisher import Publisher
from stream.transport import LedgerTransport

T = TypeVar("T")
_LOG_END_ATTEMPTS = 10
_log = logging.getLogger(__name__)


class SpeedLayer:
    """One worker: what the Faust app calls.

    Args:
        settings: see docs/configuration.md.
        watch: gives the model to decide with.
        faults: for chaos.
    """

    def __init__(self, settings: Settings, watch: ModelWatch, faults: FaultPoints) -> None:
        self._settings = settings
        self._watch = watch
        self._faults = faults
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self.source = settings.topic_prefix + COMMENTS.name
        self._publisher = Publisher(
            settings.kafka_bootstrap, settings.topic_prefix, lambda: faults.reach("during_publish")
        )
        self._publishing: asyncio.Task[None] | None = None
        self._ledger: PatientLedger
        self._processor: Processor
        self.app: faust.App

    async def start(self) -> None:
        """Connect to the ledger and the brokers, and wait for a model."""
        metrics.serve(self._settings.metrics_port)
        await self._in_thread(self._connect)
        await self._in_thread(self._watch.start)
        await self._publisher.start()

    async def stop(self) -> None:
        """Publish what is stored, note it, disconnect. A batch under way is finished first."""
        await self._published_so_far()
        await self._in_thread(self._mark_published)
        await self._publisher.stop()
        self._watch.stop()
        await self._in_thread(self._ledger.close)

    async def seek_positions(self, assigned: set[TP]) -> Mapping[TP, int]:
        """Where to start reading the assigned partitions; publishes again what may not have been.

        The ledger's thread works in order, so the batch under way is stored, or known not to be, before positions are
        read; whatever of it was fetched already and comes after that is passed over as old.
        """
        try:
            source = [tp for tp in assigned if tp.topic == self.source]
            if not source:
                return {}
            starts = await self.app.consumer.earliest_offsets(*source)
            log_starts = {tp.partition: starts[tp] for tp in source}
            await self._published_so_far()
            positions = await self._in_thread(lambda: self._ledger.positions(log_starts))
            await self._require_log_reaches(source, positions)
            self._faults.reach("during_assignment")
            await self._publish(await self._in_thread(lambda: self._processor.assign(positions)))
            return {tp: positions[tp.partition].next for tp in source}
        except Exception as error:
            leave(error)

    async def handle(self, events: Sequence[EventT[Any]]) -> None:
        """Store one batch, then acknowledge it; publishing it overlaps the next batch."""
        try:
            records = [_record(event) for event in events]
            published = await self._in_thread(lambda: self._processor.process(records, self._watch.model))
            self._faults.reach("after_commit")
            for event in events:
                event.ack()
            await self._published_so_far()
            self._publishing = asyncio.create_task(self._publish(published))
        except Exception as error:
            leave(error)

    async def note_idle(self) -> None:
        """On an idle stream, note what was published; under load the next batch does it."""
        if self._publishing is None or not self._publishing.done():
            return
        try:
            await self._published_so_far()
            await self._in_thread(self._mark_published)
        except Exception as error:
            leave(error)

    def _connect(self) -> None:
        settings = self._settings
        topic_id = topic_uuid(describe_topic_ids(settings.kafka_bootstrap, [self.source])[self.source])
        url = required(settings.database_url, "database_url")
        ledger = Ledger(url, self.source, topic_id, lambda: self._faults.reach("after_copy"))
        self._ledger = PatientLedger(ledger, settings.ledger_retry_seconds)
        limit = DeadLetterLimit(settings.dead_letter_window, settings.dead_letter_share, settings.dead_letter_run)
        self._processor = Processor(self._ledger, limit)

    async def _require_log_reaches(self, source: Sequence[TP], positions: Mapping[int, Position]) -> None:
        """Refuse a topic that lost records the ledger holds: new ones would come at offsets already accounted for.

        A broker that has just come back may report an older end for a moment, so it is asked for a while.

        Raises:
            SourceRefused: a partition ends before the offset the ledger expects next.
        """
        for attempt in range(_LOG_END_ATTEMPTS):
            ends = await self.app.consumer.highwaters(*source)
            short = [tp for tp in source if ends[tp] < positions[tp.partition].next]
            if not short:
                return
            if attempt + 1 < _LOG_END_ATTEMPTS:
                await asyncio.sleep(1)
        first, accounted = short[0], positions[short[0].partition].next
        raise SourceRefused(
            f"topic {self.source} partition {first.partition}",
            f"it ends at {ends[first]}, but the ledger accounts for offsets up to {accounted}",
            "The brokers lost records: make the topic anew, then take it on with `moderation accept-gap`.",
        )

    async def _publish(self, published: Published) -> None:
        self._faults.reach("before_publish")
        await self._publisher.publish(published)
        self._processor.note_published(published)

    def _mark_published(self) -> None:
        self._ledger.mark_published(self._processor.published, self._processor.panes_published_us)

    async def _published_so_far(self) -> None:
        task, self._publishing = self._publishing, None
        if task is not None:
            await task

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def worker_app(settings: Settings, watch: ModelWatch, faults: FaultPoints) -> faust.App:
    """The Faust app of the worker.

    Args:
        settings: see docs/configuration.md.
        watch: gives the model to decide with.
        faults: for chaos.
    """
    layer = SpeedLayer(settings, watch, faults)
    app = new_app(
        settings.consumer_group,
        settings,
        "faust",
        # A member without partitions would leave the group after this and never come back (aiokafka#1187).
        broker_max_poll_interval=2_592_000,
        broker_session_timeout=10,
        broker_request_timeout=60,
        broker_commit_interval=1,
        producer_request_timeout=30,
        stream_buffer_maxsize=20_000,
        consumer_max_fetch_size=8 * 1024 * 1024,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        web_port=settings.worker_web_port,
        web_host="127.0.0.1",
        web_bind="127.0.0.1",
    )
    layer.app = app
    app.transport = LedgerTransport(app.conf.broker_consumer, app, layer.seek_positions)

    @app.agent(app.topic(layer.source, value_serializer="raw", key_serializer="raw"), name="decide")
    async def decide(stream: Any) -> None:
        within = settings.batch_wait_ms / 1_000
        async for events in stream.noack().noack_take(settings.batch_most_records, within=within):
            await layer.handle(events)

    @app.timer(1.0)  # type: ignore[untyped-decorator]
    async def note_idle() -> None:
        await layer.note_idle()

    @app.task  # type: ignore[untyped-decorator]
    async def started() -> None:
        _log.info("deciding with model version %s", watch.model.model_version)

    original_start = app.on_start

    async def on_start() -> None:
        try:
            await layer.start()
        except Exception as error:
            leave(error)
        await original_start()

    original_stop = app.on_stop

    async def on_stop() -> None:
        await original_stop()
        await layer.stop()

    app.on_start = on_start  # type: ignore[method-assign]
    app.on_stop = on_stop  # type: ignore[method-assign]
    return app


def _record(event: EventT[Any]) -> Record:
    message = event.message
    append_us = round(message.timestamp * 1_000) * 1_000
    headers = message.headers
    replay_of = None
    if headers:
        found = dict(headers).get(REPLAY_OF)
        replay_of = found.decode("ascii", "replace") if isinstance(found, bytes) else found
    return Record(message.partition, message.offset, append_us, message.value or b"", replay_of)
