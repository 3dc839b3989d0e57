"""Start Python programs quickly by forking a process that has already imported their modules.

A worker imports modules for eight CPU seconds before it does anything. Here the standard library's fork server imports
:mod:`tests.support.preloaded` once for all tests of a process; each program then is a fork that runs
``python -m MODULE`` in its own working folder, environment and log. The tests of the supervised worker, chaos and the
demonstration run the real command line.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

PRELOADED = "tests.support.preloaded"
_PAUSE_SECONDS = 0.02


class Forked:
    """Running program with the methods of :class:`subprocess.Popen` that tests use."""

    def __init__(self, process: multiprocessing.process.BaseProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid = process.pid

    def poll(self) -> int | None:
        """Return the exit code, or the negative signal number; None while the program runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Wait until the program ends.

        Raises:
            subprocess.TimeoutExpired: the program still runs after ``timeout`` seconds.
        """
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal if the program runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the program."""
        self.send_signal(signal.SIGKILL)


def start() -> None:
    """Start the fork server, which imports in the background; :func:`run_module` starts it if necessary."""
    _context()
    forkserver.ensure_running()


def run_module(
    module: str, arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path | None = None
) -> Forked:
    """Start ``python -P -m MODULE ARGUMENTS``; output goes to ``log``, or to the output of the tests."""
    process = _context().Process(
        target=_run,
        args=(module, list(arguments), dict(env), str(cwd), None if log is None else str(log)),
        name=module,
        daemon=False,
    )
    process.start()
    return Forked(process)


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    return context


def _run(module: str, arguments: list[str], env: dict[str, str], cwd: str, log: str | None) -> None:
    os.chdir(cwd)
    os.environ.clear()  # noqa: TID251 - a program of its own has an environment of its own
    os.environ.update(env)  # noqa: TID251
    time.tzset()
    if log is not None:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.close(output)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
