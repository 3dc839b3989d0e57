"""Faust app of the source: a timer sends the arrivals that are due."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import faust

from moderation.settings import Settings
from stream.faust_app import new_app
from stream.process_exit import leave
from stream.source.plan import SendPlan
from stream.source.session import BATCH_MOST_RECORDS, Session

T = TypeVar("T")
TICK_SECONDS = 0.1
# Maximum time that one tick spends on a backlog of full batches.
_BACKLOG_SECONDS = 1.0
_log = logging.getLogger(__name__)


class SourceLayer:
    """Methods for the Faust app. Sending has a thread of its own, so that stopping waits for the current batch.

    Args:
        settings: see docs/configuration.md.
        plan: what to send.
    """

    def __init__(self, settings: Settings, plan: SendPlan) -> None:
        self._session = Session(settings, plan)
        self._is_open = False
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="source")

    async def tick(self) -> bool:
        """Send the arrivals that are due; on return they are acknowledged and in the checkpoint.

        An error ends the process; the exit code tells whether a restart may help.

        Returns:
            Whether the input is exhausted.
        """
        try:
            return await self._in_thread(self._send_for_a_tick)
        except Exception as error:
            leave(error)

    async def stop(self) -> None:
        """Wait until the current batch is in the checkpoint, then disconnect."""
        self._stopping.set()
        await self._in_thread(self._close)

    def _send_for_a_tick(self) -> bool:
        if not self._is_open and not self._stopping.is_set():
            self._session.__enter__()
            self._is_open = True
            if self._session.sent.resumed_after:
                _log.info("continuing after %d arrivals that were already sent", self._session.sent.resumed_after)
        until = time.monotonic() + _BACKLOG_SECONDS
        while not self._stopping.is_set() and time.monotonic() < until:
            if self._session.send_due() < BATCH_MOST_RECORDS:
                break  # arrivals that become due from now on are for the next tick
        return not self._stopping.is_set() and self._session.exhausted

    def _close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._session.__exit__()
        sent = self._session.sent
        _log.info(
            "sent %d comments and %d actions in %.1f s, refused %d, %s",
            sent.comments,
            sent.actions,
            sent.seconds,
            len(sent.refused),
            "the input is exhausted" if self._session.exhausted else "stopped before the end of the input",
        )

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def source_app(settings: Settings, plan: SendPlan) -> faust.App:
    """Build the Faust app of the source, which ends its process when the input is exhausted.

    Args:
        settings: see docs/configuration.md.
        plan: what to send.
    """
    layer = SourceLayer(settings, plan)
    # A tick longer than its interval is back-pressure, not an error.
    logging.getLogger("mode.timers").setLevel(logging.ERROR)
    app = new_app("moderation-source", settings, "faust-source", web_enabled=False, worker_redirect_stdouts=False)
    # The app consumes nothing, and Faust's producer is not idempotent, so neither is started.
    app.producer_only = True
    app.boot_strategy = app.BootStrategy(app, enable_kafka_producer=False)

    @app.timer(TICK_SECONDS)  # type: ignore[untyped-decorator]
    async def send_what_is_due() -> None:
        if await layer.tick():
            # The Faust worker handles this signal and ends with code 0 once everything has stopped.
            signal.raise_signal(signal.SIGTERM)

    original_stop = app.on_stop

    async def on_stop() -> None:
        await original_stop()
        await layer.stop()

    app.on_stop = on_stop  # type: ignore[method-assign]
    return app
