"""A worker that blocks deliberately after a few batches, which proves that its watchdog detects it.

Run as ``python -m local.chaos.stuck_worker KIND …`` with the worker's options.

frozen_consumer    the consumer returns no records any more, but sends heartbeats
dead_coordination  the task that keeps the consumer in its group has ended
blocked_loop       the event loop runs something that never returns
no_partitions      the group assigns no partition to any member, as with stale metadata of the topic
starved            the consumer is frozen, and native code repeatedly holds the interpreter for seconds
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import faust

from moderation.settings import load_settings
from stream.__main__ import new_worker
from stream.logs import faust_level
from stream.worker.faust_internals import consumer_loop, kafka_consumer
from stream.worker.messages import Decided, Publication
from stream.worker.recorder import Recorder
from stream.worker.transport import LedgerConsumer

_AFTER_BATCHES = 3
_FOREVER_SECONDS = 86_400.0
_HELD_NUMBERS = 300_000_000
"""Adding this many numbers takes about seven seconds, during which no other thread runs."""


def frozen_consumer(app: faust.App, loop: asyncio.AbstractEventLoop) -> None:
    """Make every further fetch wait for ever."""

    async def never(*_: Any) -> Any:
        await asyncio.sleep(_FOREVER_SECONDS)

    LedgerConsumer._wait_next_records = never  # type: ignore[assignment, method-assign]


def dead_coordination(app: faust.App, loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the coordination task, in its own thread."""
    consumer = kafka_consumer(app)
    consumer_loop(app).call_soon_threadsafe(consumer._coordinator._coordination_task.cancel)  # type: ignore[union-attr]


def blocked_loop(app: faust.App, loop: asyncio.AbstractEventLoop) -> None:
    """Run a function on the loop that does not return."""
    loop.call_soon_threadsafe(time.sleep, _FOREVER_SECONDS)


def no_partitions(app: faust.App, loop: asyncio.AbstractEventLoop) -> None:
    """Make the group leader assign no partitions, and start an assignment."""
    consumer = kafka_consumer(app)
    # The leader's assignor sees this for a topic that is missing in its metadata.
    consumer._client.cluster.partitions_for_topic = lambda topic: None  # type: ignore[union-attr]
    consumer_loop(app).call_soon_threadsafe(consumer._coordinator.request_rejoin)  # type: ignore[union-attr]


def starved(app: faust.App, loop: asyncio.AbstractEventLoop) -> None:
    """Freeze the consumer, and let the other threads run only for moments."""

    def hold() -> None:
        while True:
            sum(range(_HELD_NUMBERS))
            time.sleep(0.5)

    frozen_consumer(app, loop)
    threading.Thread(target=hold, daemon=True).start()


KINDS: dict[str, Callable[[faust.App, asyncio.AbstractEventLoop], None]] = {
    "frozen_consumer": frozen_consumer,
    "dead_coordination": dead_coordination,
    "blocked_loop": blocked_loop,
    "no_partitions": no_partitions,
    "starved": starved,
}


def get_stuck(kind: str, app: faust.App) -> None:
    """Block this process after its third batch; it prints a line at that time."""
    store = Recorder.store
    stored = [0]

    def store_and_count(self: Recorder, decided: Decided) -> Publication:
        published = store(self, decided)
        stored[0] += 1
        if stored[0] == _AFTER_BATCHES:
            print(f"stuck: {kind}", flush=True)  # noqa: T201 - the test reads it
            KINDS[kind](app, app.loop)
        return published

    Recorder.store = store_and_count  # type: ignore[method-assign]


if __name__ == "__main__":
    kind = sys.argv.pop(1)
    settings = load_settings()
    sys.argv += ["--loglevel", faust_level(settings.log_level)]
    app = new_worker(settings)
    get_stuck(kind, app)
    app.main()
