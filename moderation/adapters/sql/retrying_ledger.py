"""The ledger with bounded retries while PostgreSQL does not answer; a batch is stored at most once.

After a connection breaks during a commit, it is unknown whether the batch is stored. The positions of the partitions
tell: they are either at the beginning or at the end of the batch. Another worker may have stored the same offsets
meanwhile, so decisions are then read from the ledger for publishing, not taken from memory.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import psycopg

from moderation.adapters.sql.ledger import Ledger
from moderation.contracts import Pane
from moderation.ledger import Batch, DecisionRow, Position, Versions

T = TypeVar("T")
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_TRANSIENT = (psycopg.OperationalError, psycopg.InterfaceError)
_NOT_TRANSIENT = psycopg.errors.ProgramLimitExceeded
"""A subclass of OperationalError, but the same value fails every time."""
_log = logging.getLogger(__name__)


class RetryingLedger:
    """A ledger with bounded retries. Not thread-safe.

    Args:
        ledger: the connected ledger.
        seconds: how long one call retries; then it raises the error.
        pause: sleeps for a number of seconds.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        seconds: float,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._seconds = seconds
        self._pause = pause
        self._clock = clock
        self.topic, self.topic_id = ledger.topic, ledger.topic_id
        self.is_retrying = False
        """Whether the server does not answer and a call is being retried."""

    def close(self) -> None:
        """Close the connection."""
        self._ledger.close()

    def positions(self, log_starts: Mapping[int, int]) -> dict[int, Position]:
        """See :meth:`Ledger.positions`."""
        return self._retried(lambda: self._ledger.positions(log_starts))

    def begin_attempts(self, partitions: Iterable[int]) -> dict[int, int]:
        """See :meth:`Ledger.begin_attempts`."""
        return self._retried(lambda: self._ledger.begin_attempts(partitions))

    def give_up_attempts(self, partitions: Iterable[int]) -> None:
        """See :meth:`Ledger.give_up_attempts`."""
        self._retried(lambda: self._ledger.give_up_attempts(partitions))

    def store(self, batch: Batch) -> bool:
        """Store a batch, unless an earlier attempt with unknown outcome has stored it.

        Returns:
            True if it was already stored: publish decisions from the ledger, not from memory.

        Raises:
            FenceLost: another worker has taken over.
            psycopg.Error: the server failed for longer than ``seconds``, or refused the batch.
        """
        attempts = 0

        def attempt() -> bool:
            nonlocal attempts
            attempts += 1
            if attempts > 1 and self._ledger.is_stored(batch.ranges):
                return True
            self._ledger.store(batch)
            return False

        return self._retried(attempt)

    def rehearse(self, batch: Batch) -> None:
        """See :meth:`Ledger.rehearse`."""
        self._retried(lambda: self._ledger.rehearse(batch))

    def mark_published(self, published: Mapping[int, int], panes_published_us: Mapping[int, int]) -> None:
        """See :meth:`Ledger.mark_published`."""
        self._retried(lambda: self._ledger.mark_published(published, panes_published_us))

    def mark_read_to_end(self, reached: Mapping[int, tuple[int, int]]) -> None:
        """See :meth:`Ledger.mark_read_to_end`."""
        self._retried(lambda: self._ledger.mark_read_to_end(reached))

    def decisions_between(self, partition: int, lo: int, hi: int) -> list[tuple[DecisionRow, Versions]]:
        """See :meth:`Ledger.decisions_between`; returns a list."""
        return self._retried(lambda: list(self._ledger.decisions_between(partition, lo, hi)))

    def closed_panes(self, partition: int, after_us: int | None, upto_us: int) -> list[Pane]:
        """See :meth:`Ledger.closed_panes`."""
        return self._retried(lambda: self._ledger.closed_panes(partition, after_us, upto_us))

    def _retried(self, work: Callable[[], T]) -> T:
        deadline = self._clock() + self._seconds
        pause_seconds = _FIRST_PAUSE_SECONDS
        broken = False
        while True:
            try:
                if broken:
                    self._ledger.reconnect()
                done = work()
                self.is_retrying = False
                return done
            except _NOT_TRANSIENT:
                raise
            except _TRANSIENT as error:
                broken = self.is_retrying = True
                if self._clock() + pause_seconds > deadline:
                    raise
                _log.warning("PostgreSQL failed (%s); trying again", str(error).strip().split("\n")[0])
            self._pause(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
