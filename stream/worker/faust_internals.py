"""Access to private Faust and aiokafka attributes, pinned by a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import faust

CallSoon = Callable[[Callable[[], None]], object]


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """Conditions under which the broker answers a fetch.

    Attributes:
        least_bytes: the broker answers once it has this many bytes,
        most_wait_ms: and after this many milliseconds at the latest.
    """

    least_bytes: int
    most_wait_ms: int


def ended_parts(app: faust.App) -> tuple[str, ...]:
    """Return the names of tasks that ended while the app runs; nothing restarts them."""
    tasks = [("the Faust app", app._crashed.is_set())]
    consumer = kafka_consumer(app)
    if consumer is not None:
        coordinator, fetcher = consumer._coordinator, consumer._fetcher
        tasks += [
            ("the consumer's coordination task", _is_done(getattr(coordinator, "_coordination_task", None))),
            ("the consumer's fetch task", _is_done(getattr(fetcher, "_fetch_task", None))),
        ]
    for agent in app.agents.values():
        actors = [actor.actor_task for actor in list(cast(Any, agent)._actors)]
        tasks.append((f"agent {agent.name}", bool(actors) and all(_is_done(task) for task in actors)))
    return tuple(name for name, has_ended in tasks if has_ended)


def is_rebalancing(app: faust.App) -> bool:
    """Return whether a rebalance is under way; also True before the first assignment."""
    return bool(app.rebalancing) or app._assignment is None


def assigned_partitions(app: faust.App, topic: str) -> frozenset[int]:
    """Return the partitions of a topic in this worker's newest assignment; none before the first one."""
    return frozenset(tp.partition for tp in app._assignment or () if tp.topic == topic)


def consumer_loop(app: faust.App) -> asyncio.AbstractEventLoop:
    """Return the event loop of the consumer's thread, which sends the heartbeats of the group."""
    return cast(asyncio.AbstractEventLoop, cast(Any, app.consumer)._thread.thread_loop)


def kafka_consumer(app: faust.App) -> Any | None:
    """Return aiokafka's consumer; None before it has started."""
    return cast(Any, app.consumer)._thread._consumer


def pace_fetching(app: faust.App, fetching: FetchSettings) -> None:
    """Change the conditions of the next fetches; aiokafka itself sets them only when it creates the consumer."""
    fetcher = cast(Any, kafka_consumer(app))._fetcher
    fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = fetching.least_bytes, fetching.most_wait_ms


def read_committed(consumer: Any) -> None:
    """Make a consumer that has not started read committed records only; Faust links this to its own transactions.

    The ends of partitions that the consumer reports are then the last stable offsets.
    """
    if not hasattr(consumer, "_isolation_level"):
        raise RuntimeError("aiokafka's consumer has no isolation level")
    consumer._isolation_level = "read_committed"


def _is_done(task: asyncio.Future[Any] | None) -> bool:
    return task is not None and task.done()
