"""Waiting for a condition, with a deadline and an error that says what was waited for."""

from __future__ import annotations

import time
from collections.abc import Callable

from moderation.errors import StackError


def wait_until(
    condition: Callable[[], bool],
    *,
    seconds: float,
    description: str,
    remedy: str = "",
    interval_seconds: float = 0.1,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> float:
    """Ask ``condition`` again and again until it holds.

    Args:
        condition: asked at least once; what it raises ends the wait.
        seconds: how long to wait at most.
        description: what is waited for, as a noun phrase, e.g. ``Kafka on 127.0.0.1:9092``.
        remedy: what to do when it never holds.
        interval_seconds: time between two questions.
        clock: monotonic seconds.
        pause: lets time pass.

    Returns:
        Seconds waited.

    Raises:
        StackError: the condition did not hold in time.
    """
    begun = clock()
    while not condition():
        waited = clock() - begun
        if waited >= seconds:
            raise StackError(description, f"not there after {seconds:g} s", remedy)
        pause(min(interval_seconds, seconds - waited))
    return clock() - begun
