"""Never stuck: a thread that compares progress with lag, and ends the process when a part of it will never go on.

Faust's own detector only logs, and its consumer keeps its heartbeat while nothing is consumed: to the group a worker
that is stuck looks healthy. So a thread of its own asks the broker, over its own connection, where the topic ends, and
holds it against what is stored. Whatever it finds ends the process; the supervisor starts another, the group gives
that one the partitions, and the ledger says where to go on.
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
"""Records wait, and none was stored for so long."""
REBALANCING_SECONDS = 30.0
"""An assignment has not come about; a group of live members needs a few seconds."""
UNREAD_SECONDS = 20.0
"""The worker has no partition, though the topic has some that no worker of the group reads."""
FROZEN_SECONDS = 15.0
"""An event loop did not answer."""
HELD_SECONDS = 40.0
"""Not even this thread could run: native code holds the interpreter. A timer outside the interpreter ends that."""
_POLL_SECONDS = 1.0
_UNREAD_POLLS = 5
"""Every so many polls the brokers are asked which partitions nobody reads."""
_STDERR = 2  # by number: Faust puts a logger in its place
_LONGEST_STEP_SECONDS = 6.0
"""A longer time between two looks counts as this: the process may have been suspended."""
_RATE_SECONDS = 10.0
_REMEDY = "The supervisor starts it again, and it continues at the ledger's offsets."
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Vitals:
    """What can be seen of a worker at one moment.

    Attributes:
        stored: first offset not yet stored, by own partition.
        rebalancing: whether an assignment is under way.
        patient: whether the ledger is away and being tried again, for a bounded time, or a failure is being traced to
            the records that cause it.
        ended: names of parts that a worker cannot do without and that have ended.
    """

    stored: Mapping[int, int]
    rebalancing: bool = False
    patient: bool = False
    ended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far behind, how fast.

    Attributes:
        lag: records not stored yet, by own partition; empty while the broker does not answer.
        per_second: records stored a second, over the last ten seconds.
        unread: partitions that no worker of the group reads; empty while the broker does not answer.
    """

    lag: Mapping[int, int]
    per_second: float
    unread: frozenset[int] = frozenset()


class WatchedTime:
    """Seconds that the watchdog has watched for.

    A gap counts up to a few seconds and never sets anything back. After a suspension the worker has time to make
    progress; a watchdog that is starved of processor time needs a few looks more, and sees the same.
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
    """Decides from what was seen whether a worker is stuck. Plain: time is handed in; ``begin`` comes first."""

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
        """Start every clock. Later only progress resets one."""
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
        """Judge.

        Args:
            vitals: of this moment.
            ends: where the own partitions end; None when the broker does not answer.
            now: watched seconds.
            unread: partitions that no worker of the group reads.

        Returns:
            Why the worker is stuck; None when it is not.
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
            return f"no assignment has come about for {now - self._assigned_at:.0f} s"
        # A worker more than there are partitions has none and is healthy: the others read all of them.
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
            # The broker does not answer, or the watchdog is too starved to ask: the clock pauses, and keeps its time.
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
    """The thread.

    Args:
        vitals: looks at the worker; cheap, and called from this thread.
        ends: asks the broker where partitions end, over a connection of its own; None when it does not answer.
        loops: by name, how to have an event loop call something soon.
        leave: ends the process.
        on_progress: told how far behind the worker is, once a second.
        unread: asks the broker which partitions no worker of the group reads; None when it does not answer.
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
        """How far behind the worker was when last looked at."""
        return self._detector.progress

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
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
                # A defect of the watch must not disarm it: the log says why, it looks again, and gives up in the end.
                _log.exception("the watchdog failed to look")
                if now - looked_at > HELD_SECONDS:
                    reason = f"the watchdog has failed to look for {now - looked_at:.0f} s ({type(error).__name__})"
                    self._leave(WorkerStuck("worker", reason, _REMEDY))

    def _check(self, now: float) -> None:
        for name, call_soon in self._loops.items():
            call_soon(lambda name=name: self._detector.note_answer(name, self._watched.seconds))  # type: ignore[misc]
        vitals = self._vitals()
        ends = self._ends(tuple(sorted(vitals.stored)))
        if self._polls % _UNREAD_POLLS == 0 and ends is not None:  # a silent broker is not asked twice in one look
            unread = None if vitals.rebalancing else self._ask_unread()
            self._note_unread(unread or frozenset(), has_partitions=bool(vitals.stored))
        self._polls += 1
        reason = self._detector.check(vitals, ends, now, self._unread)
        self._on_progress(self._detector.progress)
        if reason is not None and not self._stop.is_set():
            self._leave(WorkerStuck("worker", reason, _REMEDY))

    def _note_unread(self, unread: frozenset[int], *, has_partitions: bool) -> None:
        # Seen once, it may be another worker's rebalance; seen twice, it is logged, once.
        if unread and unread == self._unread and unread != self._warned:
            self._warned = unread
            shown = "has others" if has_partitions else "has no partition"
            _log.warning("no worker of the group reads %s of the topic; this worker %s", _named(unread), shown)
        if not unread:
            self._warned = unread
        self._unread = unread
