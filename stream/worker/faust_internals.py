"""Where Faust and aiokafka keep the parts that a worker cannot do without. They are private there; a test looks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import faust

CallSoon = Callable[[Callable[[], None]], object]


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """When the broker answers a fetch.

    Attributes:
        least_bytes: as soon as so much is there,
        most_wait_ms: and in any case after so long, in milliseconds.
    """

    least_bytes: int
    most_wait_ms: int


def ended_parts(app: faust.App) -> tuple[str, ...]:
    """Names of the tasks that have ended though the app runs: nothing would start them again."""
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
    """Whether an assignment is under way; before the first one, it is."""
    return bool(app.rebalancing) or app._assignment is None


def assigned_partitions(app: faust.App, topic: str) -> frozenset[int]:
    """Partitions of a topic that the newest assignment gave to this worker; none before the first one."""
    return frozenset(tp.partition for tp in app._assignment or () if tp.topic == topic)


def consumer_loop(app: faust.App) -> asyncio.AbstractEventLoop:
    """The event loop of the consumer's own thread, which keeps the group's heartbeat."""
    return cast(asyncio.AbstractEventLoop, cast(Any, app.consumer)._thread.thread_loop)


def kafka_consumer(app: faust.App) -> Any | None:
    """aiokafka's consumer; None before it has started."""
    return cast(Any, app.consumer)._thread._consumer


def pace_fetching(app: faust.App, fetching: FetchSettings) -> None:
    """Have the consumer's next fetches answered otherwise; aiokafka settles it once, when the consumer is made."""
    fetcher = cast(Any, kafka_consumer(app))._fetcher
    fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = fetching.least_bytes, fetching.most_wait_ms


def read_committed(consumer: Any) -> None:
    """Have aiokafka's consumer, not yet started, read committed records only; Faust ties that to its own transactions.

    Ends of partitions that it asks for are the last stable offsets then.
    """
    if not hasattr(consumer, "_isolation_level"):
        raise RuntimeError("aiokafka's consumer has no isolation level")
    consumer._isolation_level = "read_committed"


def _is_done(task: asyncio.Future[Any] | None) -> bool:
    return task is not None and task.done()
