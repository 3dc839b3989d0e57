"""Publishes stored batches, at once where possible, else later from the ledger, in slices of bounded size.

The ledger stores up to which offset everything is published, so deciding need not wait for a topic. While a published
topic does not exist, batches are stored and not sent. Once it exists, the backlog is read from the ledger and sent in
order, a slice between two batches, until it is empty; then batches are sent directly again.
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
"""Offsets of the backlog that are sent between two batches: more than a batch has, so that the backlog shrinks."""
_log = logging.getLogger(__name__)


class Topics(Protocol):
    """Where records are published; ``stream.worker.publisher.Publisher`` is the one in use."""

    def publish(self, publication: Publication) -> int:
        """Send everything and wait for the acknowledgements; raises ``TopicsMissing`` or ``PublishingFailed``."""

    def missing_topics(self) -> list[str]:
        """Which topics do not exist; may raise ``KafkaException``."""


class Publishing:
    """Publishes what is stored. Called on the event loop; sending has a thread of its own.

    Args:
        topics: where to.
        recorder: keeps what is published, and reads the backlog.
        in_ledger_thread: runs something in the thread that owns the ledger.
        before: called in the sending thread before each batch is sent; for chaos.
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
        """Topics that do not exist, as far as was noticed."""
        self.is_behind = False
        """Whether stored batches are not published yet, so that new ones must wait for their turn."""

    async def check_topics(self) -> None:
        """Ask whether the topics exist, before anything is sent."""
        if missing := await self._ask():
            self._suspend(TopicsMissing(missing))

    async def take_over(self) -> None:
        """Publish what earlier owners of the assigned partitions did not: the first slice now, the rest in between."""
        self.is_behind = True
        await self.send_slice()

    async def send(self, publication: Publication) -> None:
        """Publish a batch that was just stored, unless others must be published before it.

        Raises:
            PublishingFailed: the brokers did not take it.
        """
        if not self.is_behind:
            await self._publish(publication)

    async def send_slice(self) -> bool:
        """Publish the next slice of the backlog. Nothing may be stored meanwhile.

        Returns:
            Whether there is more that can be sent now.

        Raises:
            PublishingFailed: the brokers did not take it.
        """
        if self.missing:
            still = await self._ask()
            if still is None or still:
                self._show(self.missing if still is None else still)
                return False
            _log.warning("topics %s exist again; publishing goes on", ", ".join(self.missing))
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
        """Which topics do not exist; None if no broker answers."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._sending, self._topics.missing_topics)
        except KafkaException as error:
            _log.warning("no broker says whether the published topics exist: %s", error)
            return None

    def _suspend(self, error: TopicsMissing) -> None:
        self.is_behind = True
        if set(error.topics) != set(self.missing):
            _log.error("%s", error)
        self._show(error.topics)

    def _show(self, missing: list[str] | tuple[str, ...]) -> None:
        self.missing = tuple(missing)
        metrics.MISSING_TOPICS.set(len(self.missing))
