"""Faults, carried out on a running stack."""

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
"""The worker that joins and leaves."""
WORKERS = ("worker-1", "worker-2", JOINING_WORKER)
_REACH_SECONDS = 180.0
"""Two cores that start three workers at a time take half a minute for each."""
_PID_SECONDS = 60.0
_SERVERS = {Fault.BROKER_KILL: "kafka", Fault.POSTGRES_KILL: "postgres", Fault.MLFLOW_KILL: "mlflow"}


class Faults:
    """Carries faults out, one at a time, and counts them.

    Args:
        layout: of the stack.
        settings: of its workers; ``fault_points`` is set.
        models: to move the alias between.
        seed: of what is left open by a fault's name.
        away_seconds: for how long the database is stopped, where it is not started again at once.
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
        """Do it, and return once it is done; a frozen worker is woken later, by a thread."""
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
        """Move the alias to the next good version; None when the registry did not answer."""
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
        """Wait for every frozen worker to be woken."""
        self._frozen.wake_all()

    def ended_workers(self) -> list[str]:
        """Workers that the supervisor has given up."""
        return [part.name for part in status(self._layout) if part.name in WORKERS and part.state == "ended"]

    def _at_point(self, fault: Fault) -> bool:
        deed, _, point = fault.value.partition("_")
        order = self._orders / point
        order.write_text("stop" if deed == "zombie" else "kill")
        deadline = time.monotonic() + _REACH_SECONDS
        asked = 0.0
        while order.exists():
            if time.monotonic() > deadline:
                order.unlink(missing_ok=True)
                return False
            if time.monotonic() - asked > 15:
                asked = time.monotonic()
                self._provoke(point)
            time.sleep(0.05)
        if deed == "zombie":
            self._await("a worker that stopped itself", lambda: bool(self._frozen.take(self._workers())))
        return True

    def _provoke(self, point: str) -> None:
        """Bring about what makes a point reachable; the others are reached by every batch."""
        if point == "during_swap":
            self.move_alias()
        elif point == "during_assignment":
            self._kill(self._random.choice(WORKERS[:2]))
            self.done[Fault.KILL_RANDOM.value] += 1

    def _refused_alias(self) -> bool:
        """Have the alias name a version that must be refused, for a while; the registry may be coming back."""
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
        """The process of a program, once it runs."""
        found: list[int] = []

        def runs() -> bool:
            found[:] = [part.pid for part in status(self._layout) if part.name == program and part.pid]
            return bool(found) and psutil.pid_exists(found[0])

        self._await(f"the process of {program}", runs)
        return found[0]

    def _workers(self) -> list[int]:
        return [part.pid for part in status(self._layout) if part.name in WORKERS and part.pid]

    def _await(self, what: str, condition: Callable[[], bool]) -> None:
        remedy = f"See the logs in {self._layout.log}."
        wait_until(condition, seconds=_PID_SECONDS, description=what, remedy=remedy)
