"""Inject faults into a running stack."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
from mlflow.exceptions import MlflowException

from local.chaos.frozen_processes import FrozenProcesses
from local.chaos.models import Models, move_alias
from local.chaos.plan import Fault
from local.stack.commands import start_program, status, stop_program
from local.stack.layout import StackLayout
from local.stack.wait import wait_until
from moderation.settings import Settings

JOINING_WORKER = "worker-3"
"""The worker that joins and leaves the group."""
WORKERS = ("worker-1", "worker-2", JOINING_WORKER)
_REACH_SECONDS = 180.0
"""Three workers that start at the same time on two cores need half a minute each."""
_PID_SECONDS = 60.0
_SERVERS = {Fault.BROKER_KILL: "kafka", Fault.POSTGRES_KILL: "postgres", Fault.MLFLOW_KILL: "mlflow"}


class Faults:
    """Injects faults, one at a time, and counts them.

    Args:
        layout: of the stack.
        settings: of its workers; ``fault_points`` is set.
        models: versions between which the alias moves.
        seed: of the random choices.
        away_seconds: time for which the database is stopped in ``POSTGRES_AWAY``.
    """

    def __init__(self, layout: StackLayout, settings: Settings, models: Models, seed: int, away_seconds: float) -> None:
        self._layout = layout
        self._settings = settings
        self._models = models
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._away_seconds = away_seconds
        self._orders = settings.fault_points or Path()
        self._alias = models.good[0]
        self._alias_lock = threading.Lock()
        self._frozen = FrozenProcesses(self._random)
        self.done: Counter[str] = Counter()
        self.not_reached: Counter[str] = Counter()

    def carry_out(self, fault: Fault) -> None:
        """Inject a fault; returns when it is done. A thread continues a frozen worker later."""
        name = fault.value
        if fault in _SERVERS:
            self._kill(_SERVERS[fault])
        elif fault is Fault.KILL_RANDOM:
            self._kill(self._random.choice(WORKERS[:2]))
        elif fault is Fault.ZOMBIE:
            self._frozen.freeze(self._pid(self._random.choice(WORKERS[:2])))
        elif fault is Fault.JOIN:
            start_program(self._layout, JOINING_WORKER)
        elif fault is Fault.POSTGRES_AWAY:
            stop_program(self._layout, _SERVERS[Fault.POSTGRES_KILL])
            time.sleep(self._away_seconds)
            start_program(self._layout, _SERVERS[Fault.POSTGRES_KILL])
        elif fault is Fault.LEAVE:
            stop_program(self._layout, JOINING_WORKER)
        elif not (self._refused_alias() if fault is Fault.REFUSED_ALIAS else self._at_point(fault)):
            self.not_reached[name] += 1
            return
        self.done[name] += 1

    def move_alias(self) -> str | None:
        """Move the alias to the next good version; returns None if the registry did not answer."""
        with self._alias_lock:
            next_version = self._models.good[(self._models.good.index(self._alias) + 1) % len(self._models.good)]
            try:
                move_alias(self._settings, next_version)
            except MlflowException:
                return None
            self._alias = next_version
            self.done["alias_move"] += 1
            return next_version

    def wake_all(self) -> None:
        """Wait until every frozen worker has been continued."""
        self._frozen.wake_all()

    def ended_workers(self) -> list[str]:
        """Return the workers that the supervisor does not restart any more."""
        return [part.name for part in status(self._layout) if part.name in WORKERS and part.state == "ended"]

    def _at_point(self, fault: Fault) -> bool:
        action, _, point = fault.value.partition("_")
        order = self._orders / point
        order.write_text("stop" if action == "zombie" else "kill")
        deadline = time.monotonic() + _REACH_SECONDS
        triggered = 0.0
        while order.exists():
            if time.monotonic() > deadline:
                order.unlink(missing_ok=True)
                return False
            if time.monotonic() - triggered > 15:
                triggered = time.monotonic()
                self._trigger(point)
            time.sleep(0.05)
        if action == "zombie":
            self._await("a worker that stopped itself", lambda: bool(self._frozen.take(self._workers())))
        return True

    def _trigger(self, point: str) -> None:
        """Cause the event that leads to a point; every batch reaches the other points."""
        if point == "during_swap":
            self.move_alias()
        elif point == "during_assignment":
            self._kill(self._random.choice(WORKERS[:2]))
            self.done[Fault.KILL_RANDOM.value] += 1

    def _refused_alias(self) -> bool:
        """Move the alias for a while to a version that must be refused; retries while the registry restarts."""
        with self._alias_lock:
            if not self._moved(self._models.refused):
                return False
            time.sleep(3 * self._settings.alias_poll_seconds)
            return self._moved(self._alias)

    def _moved(self, version: str) -> bool:
        deadline = time.monotonic() + _REACH_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(MlflowException):
                move_alias(self._settings, version)
                return True
            time.sleep(1)
        return False

    def _kill(self, program: str) -> None:
        os.kill(self._pid(program), signal.SIGKILL)

    def _pid(self, program: str) -> int:
        """Return the process id of a program, once it runs."""
        pids: list[int] = []

        def runs() -> bool:
            pids[:] = [part.pid for part in status(self._layout) if part.name == program and part.pid]
            return bool(pids) and psutil.pid_exists(pids[0])

        self._await(f"the process of {program}", runs)
        return pids[0]

    def _workers(self) -> list[int]:
        return [part.pid for part in status(self._layout) if part.name in WORKERS and part.pid]

    def _await(self, what: str, condition: Callable[[], bool]) -> None:
        remedy = f"See the logs in {self._layout.log}."
        wait_until(condition, seconds=_PID_SECONDS, description=what, remedy=remedy)
