"""Faust app of the worker: raw values in micro-batches, offsets from the ledger, publication after the commit.

The event loop only passes records on; deciding, storing and publishing have a thread each (``stream.worker.pipeline``).
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Mapping
from typing import Any

import faust
import psycopg
from faust.types import TP

from moderation.adapters import error_origin
from moderation.adapters.kafka import batch_unpacker
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.end_offsets import LogEnds
from moderation.adapters.kafka.group_readers import GroupReaders
from moderation.adapters.kafka.topic_identity import TopicIdentity
from moderation.adapters.kafka.topics import COMMENTS, is_compacted
from moderation.adapters.sql.ledger import Ledger
from moderation.adapters.sql.retrying_ledger import RetryingLedger
from moderation.adapters.sql.windows import newest_windows
from moderation.contracts import Rules
from moderation.errors import TopicRefused
from moderation.ledger import Position
from moderation.settings import Settings, required
from stream.faust_app import new_app
from stream.worker import metrics, metrics_server
from stream.worker.archive_watch import show_archive_delays
from stream.worker.dead_letter_limit import DeadLetterLimit
from stream.worker.decider import Decider
from stream.worker.fault_points import FaultPoints
from stream.worker.faust_internals import assigned_partitions, consumer_loop, ended_parts, is_rebalancing
from stream.worker.garbage_collector import freeze_startup_objects
from stream.worker.http_access import web_options
from stream.worker.http_api import add_views
from stream.worker.http_limits import ViewLimits
from stream.worker.messages import ServingModel
from stream.worker.model_watch import ModelWatch
from stream.worker.pipeline import Pipeline
from stream.worker.process_exit import leave
from stream.worker.publisher import Publisher
from stream.worker.raw_budget import RawBudget
from stream.worker.read_to_end import end_tracker
from stream.worker.recorder import Recorder
from stream.worker.replay_report import ReplayReport
from stream.worker.topic_access import identify_topic
from stream.worker.topic_checks import TopicChecks
from stream.worker.transport import LedgerTransport, Start
from stream.worker.watchdog import Progress, Vitals, Watchdog

_SUSPECT_AFTER = 1
"""After this many processes ended at the same offset, the records there are first decided in another process."""
_IDENTITY_SECONDS = 0.5
"""Maximum age of the broker's last confirmation of the topic id when a batch is stored."""
_MOST_POLLED = 20_000
"""Maximum records unpacked at a time: more than a usual fetch has, and a bound for batches of tiny records."""
_METADATA_MS = 5_000
"""Maximum time until added partitions are read and a re-created topic is noticed."""
_log = logging.getLogger(__name__)


class SpeedLayer:
    """One worker; the Faust app calls its methods.

    Args:
        settings: see docs/configuration.md.
        watch: provides the model to decide with.
        faults: fault points of chaos runs.
    """

    def __init__(self, settings: Settings, watch: ModelWatch, faults: FaultPoints) -> None:
        self._settings = settings
        self._kafka = kafka_of(settings)
        self._watch = watch
        self._faults = faults
        self.topic = settings.topic_prefix + COMMENTS.name
        self._ledger: RetryingLedger
        self._checks: TopicChecks
        self._marked: tuple[object, object] = ({}, {})
        self._watchdog: Watchdog | None = None
        self._working: asyncio.Task[Any] | None = None
        self.pipeline: Pipeline
        self.app: faust.App

    async def start(self) -> None:
        """Connect to the ledger and the brokers; wait for a model."""
        metrics.FENCE_LOSSES.remember_in(self._settings.state_folder)
        metrics.STARTED.set_to_current_time()
        metrics_server.serve(self._settings)
        loop = asyncio.get_running_loop()
        recorder, publisher = await loop.run_in_executor(None, self._connect)
        await loop.run_in_executor(None, self._watch.start)
        freeze_startup_objects()
        most_records = self._settings.batch_most_records
        decider = Decider(Rules.since(self._settings.earliest_event_date))
        self.pipeline = Pipeline(decider, recorder, publisher, lambda: self._watch.model, most_records, self._faults)
        await self.pipeline.publishing.check_topics()

    async def work(self) -> None:
        """Decide, store and publish until cancelled."""
        self._working = asyncio.current_task()
        await self.pipeline.run()

    def start_watchdog(self) -> None:
        """Start the watchdog; called once the app has started."""
        loops = {
            "the event loop": asyncio.get_running_loop().call_soon_threadsafe,
            "the consumer's event loop": consumer_loop(self.app).call_soon_threadsafe,
        }
        ends = LogEnds(self._kafka, self.topic)
        readers = GroupReaders(self._kafka, self.topic, self._settings.consumer_group)
        self._watchdog = Watchdog(self._vitals, ends.ask, loops, leave, self._show_progress, readers.unread)
        self._watchdog.start()

    @property
    def model(self) -> ServingModel | None:
        """The serving model; None before the first one."""
        return self._watch.model_or_none

    @property
    def registry_state(self) -> str:
        """What the last poll of the registry found."""
        return self._watch.registry_state

    @property
    def is_assigned(self) -> bool:
        """Whether there is an assignment. One without partitions counts while other workers read all of them."""
        if is_rebalancing(self.app):
            return False
        return bool(assigned_partitions(self.app, self.topic)) or not self.progress.unread

    @property
    def missing_topics(self) -> tuple[str, ...]:
        """Missing published topics; their records are in the ledger."""
        return self.pipeline.publishing.missing

    @property
    def progress(self) -> Progress:
        """Lag and speed of the worker."""
        return Progress({}, 0.0) if self._watchdog is None else self._watchdog.progress

    def windows(self, community: str | None, most: int) -> list[dict[str, Any]]:
        """Return the newest hourly windows."""
        url = required(self._settings.database_url, "database_url")
        return newest_windows(url, self._ledger.topic_id, community, most)

    async def stop(self) -> None:
        """Finish the current batch, publish stored records, store the published offsets, disconnect."""
        if self._watchdog is not None:
            self._watchdog.stop()
        await self.pipeline.finish()
        await self.pipeline.in_ledger_thread(self._mark_published)
        await self._give_up_attempts()
        self._watch.stop()
        await self.pipeline.in_ledger_thread(self._ledger.close)

    async def seek_positions(self, assigned: set[TP]) -> Mapping[TP, Start]:
        """Return where to start reading the assigned partitions; publish again what may not be published.

        The current batch is stored, or the process ends, before positions are read. Records that were fetched before
        are dropped or skipped as already decided.
        """
        try:
            topic_partitions = [tp for tp in assigned if tp.topic == self.topic]
            if not topic_partitions:
                return {}
            await self._checks.require_same()
            await self._checks.require_append_time()
            starts = await self.app.consumer.earliest_offsets(*topic_partitions)
            log_starts = {tp.partition: starts[tp] for tp in topic_partitions}

            async def read() -> Mapping[int, Position]:
                positions = await self.pipeline.in_ledger_thread(lambda: self._ledger.positions(log_starts))
                ends = await self.app.consumer.highwaters(*topic_partitions)
                needed = {partition: position.next for partition, position in positions.items()}
                await self._checks.require_reaches(needed, {tp.partition: ends[tp] for tp in topic_partitions})
                self._faults.trigger("during_assignment")
                return positions

            async def suspected() -> set[int]:
                attempts = await self.pipeline.in_ledger_thread(lambda: self._ledger.begin_attempts(log_starts))
                suspects = {partition for partition, before in attempts.items() if before >= _SUSPECT_AFTER}
                if suspects:
                    where = sorted(suspects)
                    _log.warning("processes ended at records of partitions %s; another process tries them first", where)
                return suspects

            positions = await self.pipeline.assign(self.app.consumer_generation_id, read, suspected)
            return {tp: _start(positions[tp.partition], log_starts[tp.partition]) for tp in topic_partitions}
        except Exception as error:
            leave(error)

    async def release(self) -> None:
        """Finish the current batch before partitions are revoked, so that the next owner does not lose its fence."""
        await self.pipeline.release()
        await self._give_up_attempts()

    async def _give_up_attempts(self) -> None:
        unsuspected = self.pipeline.recorder.stored.keys() - self.pipeline.suspected
        try:
            await self.pipeline.in_ledger_thread(lambda: self._ledger.give_up_attempts(unsuspected))
        except psycopg.Error as error:
            _log.warning("the next worker tries records in another process: %s", error_origin.loggable_text(error))

    async def on_offset_reset(self, tp: TP, needed: int) -> None:
        """End the process if the topic was re-created, or ends before the offset that is needed next."""
        try:
            await self._checks.require_same()
            await self._checks.require_end(tp.partition, needed)
        except Exception as error:
            leave(error)

    def on_last_record_mismatch(self, tp: TP, offset: int, append_us: int) -> None:
        """End the process: the topic has another record at an offset than the ledger."""
        leave(
            TopicRefused(
                f"topic {self.topic} partition {tp.partition}",
                f"the record at offset {offset} was appended at {append_us} µs, but the ledger has another time: "
                "the topic lost its last records, and new records have their offsets",
                "The newest records of the ledger are no longer in the topic, and the new records were not decided. "
                "Re-create the topic, then run `moderation accept-gap --yes`.",
            )
        )

    async def note_idle(self) -> None:
        """Publish the backlog; on an idle stream store the published offsets, which the next batch does under load."""
        recorder = self.pipeline.recorder
        try:
            await self.pipeline.catch_up()
            published = (recorder.published, recorder.panes_published_us)
            if self.pipeline.is_idle and published != self._marked:
                await self.pipeline.in_ledger_thread(self._mark_published)
                self._marked = published
        except Exception as error:
            leave(error)

    async def note_read_to_end(self) -> None:
        """Observe where the assigned partitions end, so that windows of idle partitions close."""
        try:
            await self.pipeline.note_read_to_end(assigned_partitions(self.app, self.topic))
        except Exception as error:
            leave(error)

    async def show_open_transactions(self) -> None:
        """Log open transactions that block later records, and show their age as a metric."""
        await self._checks.show_open_transactions()

    async def check_topic(self) -> None:
        """End the process if producers set append times, or if it has no partition and its topic was deleted."""
        try:
            await self._checks.require_append_time()
            if not is_rebalancing(self.app) and not assigned_partitions(self.app, self.topic):
                await self._checks.require_same_or_no_answer()
        except Exception as error:
            leave(error)

    def _vitals(self) -> Vitals:
        if self.app._stopped.is_set():
            return Vitals({})
        ended = ended_parts(self.app)
        if self._working is not None and self._working.done():
            ended = (*ended, "the pipeline")
        assigned = assigned_partitions(self.app, self.topic)
        stored = self.pipeline.recorder.stored
        return Vitals(
            {partition: offset for partition, offset in stored.items() if partition in assigned},
            is_rebalancing(self.app),
            self._ledger.is_retrying or self.pipeline.is_narrowing,
            ended,
        )

    def _show_progress(self, progress: Progress) -> None:
        metrics.show_by_partition(metrics.LAG, progress.lag)
        metrics.UNREAD_PARTITIONS.set(len(progress.unread))
        assigned = assigned_partitions(self.app, self.topic)
        newest_us = self.pipeline.recorder.newest_event_us
        metrics.show_watermark_delays({p: us for p, us in newest_us.items() if p in assigned})

    def _connect(self) -> tuple[Recorder, Publisher]:
        settings = self._settings
        topic_id = identify_topic(settings)
        url = required(settings.database_url, "database_url")
        copied = functools.partial(self._faults.trigger, "after_copy")
        ledger = Ledger(url, self.topic, topic_id, copied, ReplayReport().note, settings.database_durability)
        self._ledger = RetryingLedger(ledger, settings.ledger_retry_seconds)
        identity = TopicIdentity(self._kafka, self.topic, topic_id)
        self._checks = TopicChecks(self._kafka, self.topic, identity)
        limit = DeadLetterLimit(settings.dead_letter_window, settings.dead_letter_share, settings.dead_letter_run)
        published = functools.partial(self._faults.trigger, "during_publish")
        publisher = Publisher(self._kafka, settings.topic_prefix, self.topic, topic_id, published)
        budget = RawBudget(settings.dead_letter_bytes_per_minute)
        require_topic = functools.partial(identity.require, _IDENTITY_SECONDS)
        compacted = functools.partial(is_compacted, self._kafka, self.topic)
        ends = end_tracker(self._kafka, self.topic)
        return Recorder(self._ledger, limit, require_topic, budget, compacted, publisher.encode, ends), publisher

    def _mark_published(self) -> None:
        recorder = self.pipeline.recorder
        self._ledger.mark_published(recorder.published, recorder.panes_published_us)


def _start(position: Position, log_start: int) -> Start:
    """Return where to start; with the record before it, if topic and ledger have one."""
    return Start(position.next, position.last_append_us if position.next > log_start else None)


def worker_app(settings: Settings, watch: ModelWatch, faults: FaultPoints) -> faust.App:
    """Build the Faust app of the worker.

    Args:
        settings: see docs/configuration.md.
        watch: provides the model to decide with.
        faults: fault points of chaos runs.
    """
    batch_unpacker.install()
    layer, limits = SpeedLayer(settings, watch, faults), ViewLimits(settings)
    app = new_app(
        settings.consumer_group,
        settings,
        "faust",
        # A member without partitions leaves the group after this interval and does not rejoin (aiokafka#1187).
        broker_max_poll_interval=2_592_000,
        broker_session_timeout=10,
        broker_request_timeout=60,
        broker_commit_interval=1,
        producer_request_timeout=30,
        # A message is a chunk: the records that one fetch returned for one partition.
        stream_buffer_maxsize=8,
        broker_max_poll_records=_MOST_POLLED,
        consumer_max_fetch_size=8 * 1024 * 1024,
        # Until the seek; a deleted offset also resets to the start, which on_offset_reset checks.
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=_METADATA_MS,
        stream_wait_empty=False,
        **web_options(settings, limits),
    )
    layer.app = app
    add_views(app, layer, limits)
    app.transport = LedgerTransport(
        app.conf.broker_consumer,
        app,
        layer.seek_positions,
        layer.release,
        layer.on_offset_reset,
        layer.on_last_record_mismatch,
        lambda partition: layer.pipeline.is_full(partition),
    )

    @app.agent(app.topic(layer.topic, value_serializer="raw", key_serializer="raw"), name="decide")
    async def decide(stream: Any) -> None:
        async for event in stream.noack().events():
            await layer.pipeline.add(event.message, event.ack)

    @app.timer(1.0)  # type: ignore[untyped-decorator]
    async def note_idle() -> None:
        await layer.note_idle()

    @app.timer(1.0)  # type: ignore[untyped-decorator]
    async def note_read_to_end() -> None:
        await layer.note_read_to_end()

    @app.timer(60.0)  # type: ignore[untyped-decorator]
    async def show_open_transactions() -> None:
        await layer.show_open_transactions()
        await show_archive_delays(settings)

    @app.timer(5.0)  # type: ignore[untyped-decorator]
    async def check_topic() -> None:
        await layer.check_topic()

    @app.task  # type: ignore[untyped-decorator]
    async def work() -> None:
        _log.info("deciding with model version %s", watch.model.model_version)
        layer.start_watchdog()
        await layer.work()

    original_start, original_stop = app.on_start, app.on_stop

    async def on_start() -> None:
        try:
            await layer.start()
        except Exception as error:
            leave(error)
        await original_start()

    async def on_stop() -> None:
        await original_stop()
        await layer.stop()

    app.on_start = on_start  # type: ignore[method-assign]
    app.on_stop = on_stop  # type: ignore[method-assign]
    return app
