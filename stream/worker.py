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

from moderation.adapters.sql.ledger import Ledger
from moderation.adapters.topics import describe_topic_ids, topic_uuid
from moderation.settings import Settings, required
from stream.exit_codes import leave
from stream.faust_app import new_app
from stream.model_watch import ModelWatch
from stream.processor import Processor, Published, Record
from stream.publisher import Publisher
from stream.transport import LedgerTransport

T = TypeVar("T")
_REPUBLISH_AT_ONCE = 1_000
_log = logging.getLogger(__name__)


class SpeedLayer:
    """One worker: what the Faust app calls.

    Args:
        settings: see docs/configuration.md.
        watch: gives the model to decide with.
    """

    def __init__(self, settings: Settings, watch: ModelWatch) -> None:
        self._settings = settings
        self._watch = watch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        prefix = settings.topic_prefix
        self.source = prefix + "comments"
        self._publisher = Publisher(settings.kafka_bootstrap, prefix + "decisions", prefix + "alerts")
        self._publishing: asyncio.Task[None] | None = None
        self._ledger: Ledger
        self._processor: Processor
        self.app: faust.App

    async def start(self) -> None:
        """Connect to the ledger and the brokers, and wait for a model."""
        await self._in_thread(self._connect)
        await self._in_thread(self._watch.start)
        await self._publisher.start()

    async def stop(self) -> None:
        """Publish what is stored, note it, disconnect. A batch under way is finished first."""
        await self._published_so_far()
        await self._in_thread(lambda: self._ledger.mark_published(self._processor.published))
        await self._publisher.stop()
        self._watch.stop()
        await self._in_thread(self._ledger.close)

    async def seek_positions(self, assigned: set[TP]) -> Mapping[TP, int]:
        """Where to start reading the assigned partitions; publishes again what may not have been."""
        try:
            consumer = self.app.consumer
            source = [tp for tp in assigned if tp.topic == self.source]
            if not source:
                return {}
            starts = await consumer.earliest_offsets(*source)
            log_starts = {tp.partition: starts[tp] for tp in source}
            await self._published_so_far()
            positions = await self._in_thread(lambda: self._ledger.positions(log_starts))
            await self._in_thread(lambda: self._processor.assign(positions))
            for partition, position in sorted(positions.items()):
                await self._publish_again(partition, position.published_next, position.next)
            return {tp: positions[tp.partition].next for tp in source}
        except Exception as error:
            leave(error)

    async def handle(self, events: Sequence[EventT[Any]]) -> None:
        """Store one batch, then acknowledge it; publishing it overlaps the next batch."""
        try:
            records = [_record(event) for event in events]
            published = await self._in_thread(lambda: self._processor.process(records, self._watch.model))
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
            await self._in_thread(lambda: self._ledger.mark_published(self._processor.published))
        except Exception as error:
            leave(error)

    def _connect(self) -> None:
        bootstrap = self._settings.kafka_bootstrap
        topic_id = topic_uuid(describe_topic_ids(bootstrap, [self.source])[self.source])
        self._ledger = Ledger(required(self._settings.database_url, "database_url"), self.source, topic_id)
        self._processor = Processor(self._ledger)

    async def _publish(self, published: Published) -> None:
        await self._publisher.publish(published.decisions)
        self._processor.note_published(published.ranges)

    async def _published_so_far(self) -> None:
        task, self._publishing = self._publishing, None
        if task is not None:
            await task

    async def _publish_again(self, partition: int, lo: int, hi: int) -> None:
        rows = await self._in_thread(lambda: list(self._ledger.decisions_between(partition, lo, hi)))
        for first in range(0, len(rows), _REPUBLISH_AT_ONCE):
            await self._publisher.publish(rows[first : first + _REPUBLISH_AT_ONCE])
        self._processor.note_published({partition: (lo, hi)} if hi > lo else {})

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def worker_app(settings: Settings, watch: ModelWatch) -> faust.App:
    """The Faust app of the worker.

    Args:
        settings: see docs/configuration.md.
        watch: gives the model to decide with.
    """
    layer = SpeedLayer(settings, watch)
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
    return Record(message.partition, message.offset, round(message.timestamp * 1_000) * 1_000, message.value or b"")
