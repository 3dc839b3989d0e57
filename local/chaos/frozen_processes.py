"""Stop processes for longer than the session timeout of the consumer group, then continue them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterable

import psutil

SESSION_SECONDS = 10.0


class FrozenProcesses:
    """Stops processes; continues each one a few seconds after its session has expired.

    Args:
        random_source: draws the additional delay.
        session_seconds: session timeout of the consumer group.
    """

    def __init__(self, random_source: random.Random, session_seconds: float = SESSION_SECONDS) -> None:
        self._random = random_source
        self._session_seconds = session_seconds
        self._wakers: list[threading.Thread] = []

    def freeze(self, pid: int) -> None:
        """Stop a process; a thread continues it later.

        Raises:
            ProcessLookupError: there is no such process.
        """
        os.kill(pid, signal.SIGSTOP)
        self._wake_later(pid)

    def take(self, pids: Iterable[int]) -> list[int]:
        """Continue later those processes that stopped themselves.

        A process that was frozen and continued may stop itself again, so only active waker threads count.

        Returns:
            The ids of the processes found stopped.
        """
        waking = {int(waker.name) for waker in self._wakers if waker.is_alive()}
        stopped = []
        for pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                if pid not in waking and psutil.Process(pid).status() == psutil.STATUS_STOPPED:
                    self._wake_later(pid)
                    stopped.append(pid)
        return stopped

    def wake_all(self) -> None:
        """Wait until every process has been continued."""
        for waker in self._wakers:
            waker.join()

    def _wake_later(self, pid: int) -> None:
        seconds = self._session_seconds + self._random.uniform(3, 6)

        def wake() -> None:
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

        waker = threading.Thread(target=wake, name=str(pid))
        self._wakers.append(waker)
        waker.start()
