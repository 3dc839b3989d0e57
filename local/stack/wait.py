"""Wait for a condition with a deadline; the error names the condition."""

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
    """Call ``condition`` repeatedly until it returns True.

    Args:
        condition: called at least once; an error that it raises ends the wait.
        seconds: longest wait.
        description: the condition as a noun phrase, e.g. ``Kafka on 127.0.0.1:9092``.
        remedy: what to do if it is never true.
        interval_seconds: time between two calls.
        clock: monotonic seconds.
        pause: sleeps.

    Returns:
        Seconds waited.

    Raises:
        StackError: the condition was not true in time.
    """
    begun = clock()
    while not condition():
        waited = clock() - begun
        if waited >= seconds:
            raise StackError(description, f"timed out after {seconds:g} s", remedy)
        pause(min(interval_seconds, seconds - waited))
    return clock() - begun
