"""Chaos finds stopped processes and continues them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from local.chaos.frozen_processes import FrozenProcesses
from local.stack.wait import wait_until


@pytest.fixture
def pid() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process.pid
        process.kill()


def is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def test_a_process_that_was_frozen_before_is_found_when_it_stops_itself(pid: int) -> None:
    frozen = FrozenProcesses(random.Random(0), session_seconds=-3)
    frozen.freeze(pid)
    frozen.wake_all()
    wait_until(lambda: not is_stopped(pid), seconds=10, description="a continued process")
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: is_stopped(pid), seconds=10, description="a stopped process")
    assert frozen.take([pid]) == [pid]
    assert frozen.take([pid]) == []  # once: its waker is at work
    frozen.wake_all()
    wait_until(lambda: not is_stopped(pid), seconds=10, description="a continued process")


def test_running_and_ended_processes_are_not_found(pid: int) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert FrozenProcesses(random.Random(0)).take([pid, gone.pid]) == []
