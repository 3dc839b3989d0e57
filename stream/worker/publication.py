"""Publish stored batches, directly if possible, else later from the ledger in slices of bounded size.

The ledger stores up to which offset everything is published, so deciding does not wait for a topic. While a published
topic does not exist, batches are stored and not sent. Once it exists, the backlog is read from the ledger and sent in
order, one slice between two batches, until it is empty. Then batches are sent directly again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from confluent_kafka import KafkaException

from moderation.errors import TopicsMissing
from stream.worker import metrics
from stream.worker.messages import Publication
from stream.worker.recorder import Recorder

SLICE_OFFSETS = 5_000
"""Offsets of the backlog sent between two batches: more than a batch has, so that the backlog shrinks."""
_log = logging.getLogger(__name__)


class Topics(Protocol):
    """Target of published records; production uses :class:`stream.worker.publisher.Publisher`."""

    def publish(self, publication: Publication) -> int:
        """Send everything and wait for the acknowledgements; raises ``TopicsMissing`` or ``PublishingFailed``."""

    def missing_topics(self) -> list[str]:
        """Return the missing topics; may raise ``KafkaException``."""


class Publishing:
    """Publishes stored batches. Called on the event loop; sending has a thread of its own.

    Args:
        topics: target of the records.
        recorder: tracks published offsets and reads the backlog.
        in_ledger_thread: runs a function in the thread that owns the ledger.
        before: called in the sending thread before each batch is sent; a fault point of chaos runs.
    """

    def __init__(
        self, topics: Topics, recorder: Recorder, in_ledger_thread: Callable[..., Any], before: Callable[[], None]
    ) -> None:
        self._topics = topics
        self._recorder = recorder
        self._in_ledger_thread = in_ledger_thread
        self._before = before
        self._sending = ThreadPoolExecutor(1, thread_name_prefix="publish")
        self.missing: tuple[str, ...] = ()
        """Missing topics as last checked."""
        self.is_behind = False
        """Whether there is a backlog, so that new batches must wait."""

    async def check_topics(self) -> None:
        """Check that the topics exist before anything is sent."""
        if missing := await self._ask():
            self._suspend(TopicsMissing(missing))

    async def take_over(self) -> None:
        """Publish the backlog of earlier owners of the partitions: the first slice now, the rest between batches."""
        self.is_behind = True
        await self.send_slice()

    async def send(self, publication: Publication) -> None:
        """Publish a batch that was just stored, unless there is a backlog.

        Raises:
            PublishingFailed: the brokers did not accept a record.
        """
        if not self.is_behind:
            await self._publish(publication)

    async def send_slice(self) -> bool:
        """Publish the next slice of the backlog. Nothing must be stored meanwhile.

        Returns:
            Whether more can be sent now.

        Raises:
            PublishingFailed: the brokers did not accept a record.
        """
        if self.missing:
            still = await self._ask()
            if still is None or still:
                self._show(self.missing if still is None else still)
                return False
            _log.warning("topics %s exist again; publishing continues", ", ".join(self.missing))
            self._show(())
        backlog, is_last = await self._in_ledger_thread(lambda: self._recorder.unpublished(SLICE_OFFSETS))
        if not await self._publish(backlog):
            return False
        self.is_behind = not is_last
        return self.is_behind

    async def _publish(self, publication: Publication) -> bool:
        def send() -> None:
            self._before()
            with metrics.STAGE_SECONDS.labels("publish").time():
                self._topics.publish(publication)

        try:
            await asyncio.get_running_loop().run_in_executor(self._sending, send)
        except TopicsMissing as error:
            self._suspend(error)
            return False
        self._recorder.note_published(publication)
        return True

    async def _ask(self) -> list[str] | None:
        """Return the missing topics; None if no broker answers."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._sending, self._topics.missing_topics)
        except KafkaException as error:
            _log.warning("no broker reports whether the published topics exist: %s", error)
            return None

    def _suspend(self, error: TopicsMissing) -> None:
        self.is_behind = True
        if set(error.topics) != set(self.missing):
            _log.error("%s", error)
        self._show(error.topics)

    def _show(self, missing: list[str] | tuple[str, ...]) -> None:
        self.missing = tuple(missing)
        metrics.MISSING_TOPICS.set(len(self.missing))
