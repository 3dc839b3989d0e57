"""Limits of the HTTP views that compute or query: size, rate, estimated work, one request at a time.

The views share the process with the stream, which has priority: settings limit what views may use.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from moderation.settings import PREFIX, Settings

T = TypeVar("T")
MOST_WAITING = 4
"""Maximum requests of one view that wait for the current one."""
_BURST_SECONDS = 1.0
TOO_LARGE, TOO_MANY, LENGTH_REQUIRED = 413, 429, 411


@dataclass
class Refusal(Exception):
    """A request is refused.

    Attributes:
        status: HTTP status of the answer.
        reason: names the limit and the setting.
    """

    status: int
    reason: str


class TokenBucket:
    """Token bucket with the capacity of one second. It may be overdrawn once and then refuses until it is refilled.

    Args:
        per_second: refill rate.
        clock: monotonic seconds.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._left = per_second * _BURST_SECONDS
        self._at = clock()

    def take(self, amount: float) -> bool:
        """Take an amount if any token is left; return False otherwise."""
        now = self._clock()
        self._left = min(self._per_second * _BURST_SECONDS, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left <= 0:
            return False
        self._left -= amount
        return True


class ViewLimits:
    """Limits of one worker. All methods run on the event loop; only the work itself runs in a thread.

    Args:
        settings: ``view_most_bytes``, ``view_requests_per_second``, ``view_work_share``.
        clock: monotonic seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_bytes = settings.view_most_bytes
        self._per_second = settings.view_requests_per_second
        self._work_share = settings.view_work_share
        self._requests = TokenBucket(self._per_second, clock)
        self._work_us = TokenBucket(self._work_share * 1e6, clock)
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._under_way: dict[str, int] = {}

    def check_rate(self) -> None:
        """Count a request.

        Raises:
            Refusal: too many requests arrived in the last second.
        """
        if not self._requests.take(1):
            raise Refusal(
                TOO_MANY, f"more than {self._per_second:g} requests a second ({PREFIX}VIEW_REQUESTS_PER_SECOND)"
            )

    def check_size(self, size_bytes: int | None) -> None:
        """Check the stated length of a request before its body is read.

        Raises:
            Refusal: the length is too large or missing.
        """
        if size_bytes is None:
            raise Refusal(LENGTH_REQUIRED, "send the header Content-Length")
        if size_bytes > self._most_bytes:
            raise Refusal(
                TOO_LARGE, f"the body has {size_bytes} bytes, at most {self._most_bytes} ({PREFIX}VIEW_MOST_BYTES)"
            )

    def check_work(self, work_us: float) -> None:
        """Reserve estimated microseconds of work.

        Raises:
            Refusal: the views have used their share of processor time.
        """
        if not self._work_us.take(work_us):
            raise Refusal(
                TOO_MANY,
                f"the views have used {self._work_share:.0%} of the worker's processor time ({PREFIX}VIEW_WORK_SHARE); "
                "ask again in a few seconds",
            )

    async def run(self, view: str, work: Callable[[], T]) -> T:
        """Run the work of a view in the thread of this view.

        Raises:
            Refusal: too many requests of the view are waiting.
        """
        if self._under_way.get(view, 0) > MOST_WAITING:
            raise Refusal(TOO_MANY, f"{MOST_WAITING} requests of this view wait already")
        thread = self._threads.setdefault(view, ThreadPoolExecutor(1, thread_name_prefix=f"view-{view}"))
        self._under_way[view] = self._under_way.get(view, 0) + 1
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work)
        finally:
            self._under_way[view] -= 1
