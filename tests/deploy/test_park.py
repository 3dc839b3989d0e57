"""docker/park.sh keeps a container after exit code 78 and passes on every other exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.exit_codes import REFUSED, RESTART
from tests.conftest import ROOT

PARK = ROOT / "docker" / "park.sh"
Parked = subprocess.Popen[str]


@pytest.fixture
def started() -> Iterator[list[Parked]]:
    """Processes of a test; they and their children end with it."""
    processes: list[Parked] = []
    yield processes
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=20)


def park(started: list[Parked], program: str) -> Parked:
    process = subprocess.Popen(
        [PARK, "sh", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    started.append(process)
    return process


def read_line(process: Parked, stream: str) -> str:
    """The next line of a stream; it marks an event, so that tests need no sleep."""
    line = getattr(process, stream).readline()
    assert isinstance(line, str)
    return line


@pytest.mark.parametrize("code", [0, 1, RESTART])
def test_any_other_exit_code_is_passed_on(started: list[Parked], code: int) -> None:
    assert park(started, f"exit {code}").wait(20) == code


def test_after_78_it_waits_for_a_stop_and_ends_with_78(started: list[Parked]) -> None:
    process = park(started, f"exit {REFUSED}")
    assert "correct the cause above, then restart the container" in read_line(process, "stderr")
    assert process.poll() is None
    process.terminate()
    assert process.wait(20) == REFUSED


def test_a_stop_reaches_the_command_and_its_exit_code_is_returned(started: list[Parked], tmp_path: Path) -> None:
    done = tmp_path / "done"
    program = f"trap 'sleep 0.3; touch {done}; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    process = park(started, program)
    assert read_line(process, "stdout") == "ready\n"
    process.terminate()
    assert process.wait(20) == 5
    assert done.exists()


def test_a_command_that_ends_with_78_after_a_stop_is_not_parked(started: list[Parked]) -> None:
    process = park(started, f"trap 'exit {REFUSED}' TERM; echo ready; while :; do sleep 0.05; done")
    assert read_line(process, "stdout") == "ready\n"
    process.terminate()
    assert process.wait(20) == REFUSED
