"""Watchdog thread: compares progress with lag and ends a process that is stuck.

Faust's detector only logs, and its consumer sends heartbeats while nothing is consumed, so that a stuck worker looks
healthy to the group. The watchdog asks the broker over a connection of its own where the topic ends, and compares this
with the stored offsets. If the worker is stuck, the watchdog ends the process. The supervisor starts another, the group
assigns it the partitions, and it continues at the ledger's offsets.
"""

from __future__ import annotations

import faulthandler
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from moderation.errors import WorkerStuck

STALLED_SECONDS = 15.0
"""Stuck if records wait and none was stored for this long."""
REBALANCING_SECONDS = 30.0
"""Stuck if a rebalance takes this long; a group of live members needs a few seconds."""
UNREAD_SECONDS = 20.0
"""Stuck if the worker has no partition for this long while no worker of the group reads some partitions."""
FROZEN_SECONDS = 15.0
"""Stuck if an event loop does not answer for this long."""
HELD_SECONDS = 40.0
"""Stuck if native code blocks the interpreter and thus this thread; a timer outside the interpreter ends it."""
_POLL_SECONDS = 1.0
_UNREAD_POLLS = 5
"""Every this many polls the watchdog asks the brokers for unread partitions."""
_STDERR = 2  # by number: Faust replaces sys.stderr with a logger
_LONGEST_STEP_SECONDS = 6.0
"""Maximum time that counts between two checks: the process may have been suspended."""
_RATE_SECONDS = 10.0
_REMEDY = "The supervisor restarts it, and it continues at the ledger's offsets."
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Vitals:
    """State of a worker at one moment.

    Attributes:
        stored: first offset that is not stored, by assigned partition.
        rebalancing: whether an assignment is under way.
        patient: whether the worker retries the ledger, for a bounded time, or searches for the records that cause a
            failure.
        ended: names of required parts that have ended.
    """

    stored: Mapping[int, int]
    rebalancing: bool = False
    patient: bool = False
    ended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """Lag and speed of a worker.

    Attributes:
        lag: records that are not stored, by assigned partition; empty while the broker does not answer.
        per_second: records stored a second, over the last ten seconds.
        unread: partitions that no worker of the group reads; empty while the broker does not answer.
    """

    lag: Mapping[int, int]
    per_second: float
    unread: frozenset[int] = frozenset()


class WatchedTime:
    """Clock of the seconds that the watchdog has observed.

    A gap counts as a few seconds at most. After a suspension the worker thus has time to make progress. A watchdog
    with too little processor time needs a few more checks and reaches the same result.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._looked_at: float | None = None

    def advance(self, now: float) -> float:
        """Add the time since the last call.

        Args:
            now: monotonic seconds.

        Returns:
            Watched seconds so far.
        """
        if self._looked_at is not None:
            self.seconds += min(now - self._looked_at, _LONGEST_STEP_SECONDS)
        self._looked_at = now
        return self.seconds


class StuckDetector:
    """Decides from observations whether a worker is stuck. Time is an argument; ``begin`` must be called first."""

    def __init__(self) -> None:
        self._stored: Mapping[int, int] = {}
        self._moved_at = 0.0
        self._noted_at = 0.0
        self._assigned_at = 0.0
        self._read_at = 0.0
        self._answered_at: dict[str, float] = {}
        self._history: deque[tuple[float, int]] = deque()
        self._total = 0
        self.progress = Progress({}, 0.0)

    def begin(self, loops: Iterable[str], now: float) -> None:
        """Start every timer. Later only progress resets a timer."""
        self._moved_at = self._assigned_at = self._noted_at = self._read_at = now
        self._answered_at = dict.fromkeys(loops, now)

    def note_answer(self, loop: str, now: float) -> None:
        """Note that an event loop answered."""
        self._answered_at[loop] = now

    def check(
        self,
        vitals: Vitals,
        ends: Mapping[int, int] | None,
        now: float,
        unread: frozenset[int] = frozenset(),
    ) -> str | None:
        """Check whether the worker is stuck.

        Args:
            vitals: current state.
            ends: ends of the assigned partitions; None if the broker does not answer.
            now: observed seconds.
            unread: partitions that no worker of the group reads.

        Returns:
            The reason why the worker is stuck; None if it is not.
        """
        self._note_progress(vitals, ends, now, unread)
        if vitals.ended:
            return f"{', '.join(vitals.ended)} ended"
        for loop, answered_at in self._answered_at.items():
            if now - answered_at > FROZEN_SECONDS:
                return f"{loop} has not answered for {now - answered_at:.0f} s"
        if not vitals.rebalancing or vitals.patient:
            self._assigned_at = now
        if now - self._assigned_at > REBALANCING_SECONDS:
            return f"no assignment has completed for {now - self._assigned_at:.0f} s"
        # With more workers than partitions, a worker without partitions is healthy: others read all of them.
        if vitals.stored or vitals.rebalancing or vitals.patient or not unread:
            self._read_at = now
        if now - self._read_at > UNREAD_SECONDS:
            return f"it has no partition, and for {now - self._read_at:.0f} s no worker read {_named(unread)}"
        behind = sum(self.progress.lag.values())
        if behind and now - self._moved_at > STALLED_SECONDS:
            return f"{behind} records wait, and none was stored for {now - self._moved_at:.0f} s"
        return None

    def _note_progress(
        self, vitals: Vitals, ends: Mapping[int, int] | None, now: float, unread: frozenset[int]
    ) -> None:
        behind = {p: max(0, end - vitals.stored[p]) for p, end in (ends or {}).items() if p in vitals.stored}
        gained = sum(max(0, at - self._stored[p]) for p, at in vitals.stored.items() if p in self._stored)
        if gained or vitals.patient or vitals.rebalancing or (ends is not None and not any(behind.values())):
            self._moved_at = now
        elif ends is None:
            # The broker does not answer, or the watchdog has no processor time to ask: the timer pauses.
            self._moved_at += now - self._noted_at
        self._noted_at = now
        self._stored = vitals.stored
        self._total += gained
        self._history.append((now, self._total))
        while now - self._history[0][0] > _RATE_SECONDS:
            self._history.popleft()
        began, total = self._history[0]
        per_second = (self._total - total) / (now - began) if now > began else 0.0
        self.progress = Progress(behind, per_second, unread)


def _named(partitions: frozenset[int]) -> str:
    return f"partition {', '.join(map(str, sorted(partitions)))}"


class Watchdog:
    """Runs the detector in a thread.

    Args:
        vitals: returns the state of the worker; cheap, called from this thread.
        ends: asks the broker for the ends of partitions over a connection of its own; None without an answer.
        loops: by name, functions that schedule a call on an event loop.
        leave: ends the process.
        on_progress: called with the progress once a second.
        unread: asks the broker for partitions that no worker of the group reads; None without an answer.
    """

    def __init__(
        self,
        vitals: Callable[[], Vitals],
        ends: Callable[[tuple[int, ...]], Mapping[int, int] | None],
        loops: Mapping[str, Callable[[Callable[[], None]], object]],
        leave: Callable[[BaseException], object],
        on_progress: Callable[[Progress], None],
        unread: Callable[[], frozenset[int] | None] = lambda: None,
    ) -> None:
        self._vitals = vitals
        self._ends = ends
        self._loops = loops
        self._leave = leave
        self._on_progress = on_progress
        self._ask_unread = unread
        self._unread: frozenset[int] = frozenset()
        self._warned: frozenset[int] = frozenset()
        self._polls = 0
        self._detector = StuckDetector()
        self._watched = WatchedTime()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    @property
    def progress(self) -> Progress:
        """Progress at the last check."""
        return self._detector.progress

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stop.set()
        faulthandler.cancel_dump_traceback_later()

    def _run(self) -> None:
        looked_at = self._watched.advance(time.monotonic())
        self._detector.begin(self._loops, looked_at)
        while not self._stop.wait(_POLL_SECONDS):
            now = self._watched.advance(time.monotonic())
            try:
                faulthandler.dump_traceback_later(HELD_SECONDS, exit=True, file=_STDERR)
                self._check(now)
                looked_at = now
            except Exception as error:
                # An unexpected error must not disable the watchdog: it is logged, the check is repeated, and after some
                # time the process ends.
                _log.exception("a check of the watchdog failed")
                if now - looked_at > HELD_SECONDS:
                    reason = f"every check of the watchdog failed for {now - looked_at:.0f} s ({type(error).__name__})"
                    self._leave(WorkerStuck("worker", reason, _REMEDY))

    def _check(self, now: float) -> None:
        for name, call_soon in self._loops.items():
            call_soon(lambda name=name: self._detector.note_answer(name, self._watched.seconds))  # type: ignore[misc]
        vitals = self._vitals()
        ends = self._ends(tuple(sorted(vitals.stored)))
        if self._polls % _UNREAD_POLLS == 0 and ends is not None:  # a broker that did not answer is not asked twice
            unread = None if vitals.rebalancing else self._ask_unread()
            self._note_unread(unread or frozenset(), has_partitions=bool(vitals.stored))
        self._polls += 1
        reason = self._detector.check(vitals, ends, now, self._unread)
        self._on_progress(self._detector.progress)
        if reason is not None and not self._stop.is_set():
            self._leave(WorkerStuck("worker", reason, _REMEDY))

    def _note_unread(self, unread: frozenset[int], *, has_partitions: bool) -> None:
        # A first observation may be another worker's rebalance; the second one is logged, once.
        if unread and unread == self._unread and unread != self._warned:
            self._warned = unread
            shown = "has others" if has_partitions else "has no partition"
            _log.warning("no worker of the group reads %s of the topic; this worker %s", _named(unread), shown)
        if not unread:
            self._warned = unread
        self._unread = unread
