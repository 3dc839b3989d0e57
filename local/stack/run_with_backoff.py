"""Keep one program running: restart it with growing delays, forward signals, end on chosen exit codes.

The supervisor runs this module as ``python -I -S run_with_backoff.py SPEC.json``; it is the parent process of one
program. It needs only the standard library, so that it starts in milliseconds and stays small. supervisord alone would
restart a crashing program at once and without end, or give up after a few tries. Neither is right if a broker is
unavailable for a minute.

- The program runs in a process group of its own. A stop signal goes to the whole group. When the program has ended, the
  rest of the group is killed, so that no worker of a killed server keeps its port.
- If this parent process dies, the kernel kills the program (Linux), and the next parent process kills the rest of its
  group. If the supervisor dies, this process stops the program.
- ``state_file`` always contains the state of the program, for ``status``.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

UNREADABLE_SPECIFICATION = 78
"""Exit code if the specification cannot be read; the supervisor does not restart on it."""

MARKER = "COMMENT_MODERATION_PROGRAM"
"""Set in a program and its child processes; its value is the program's state file."""

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_ORPHANED = 1


@dataclass
class Backoff:
    """Delays that double up to a cap and are reset by a healthy run.

    Attributes:
        first_seconds: delay after the first failure.
        cap_seconds: longest delay.
        healthy_seconds: a run of at least this length resets the delay.
        failures: consecutive failures so far.
    """

    first_seconds: float = 1.0
    cap_seconds: float = 30.0
    healthy_seconds: float = 60.0
    failures: int = 0

    def delay_after(self, ran_seconds: float) -> float:
        """Return the seconds to wait after a run of ``ran_seconds`` that ended by itself."""
        if ran_seconds >= self.healthy_seconds:
            self.failures = 0
        delay = min(self.cap_seconds, self.first_seconds * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return delay


@dataclass
class Specification:
    """The program and how to run it; the JSON file contains exactly these fields."""

    name: str
    argv: list[str]
    cwd: str
    state_file: str
    env: dict[str, str] = field(default_factory=dict)
    user_id: int | None = None
    group_id: int | None = None
    stop_signal: int = int(signal.SIGTERM)
    stop_seconds: float = 20.0
    no_restart_codes: list[int] = field(default_factory=lambda: [78])
    first_seconds: float = 1.0
    cap_seconds: float = 30.0
    healthy_seconds: float = 60.0


@dataclass
class ProgramState:
    """State of the program; written to ``state_file`` on every change."""

    state: str = "starting"
    pid: int = 0
    started_us: int = 0
    restarts: int = 0
    last_exit: str = ""
    next_start_us: int = 0


def describe_exit(code: int) -> str:
    """Format a return code of ``subprocess`` as ``exit 3`` or ``signal 9``."""
    return f"signal {-code}" if code < 0 else f"exit {code}"


def must_not_restart(code: int, no_restart_codes: list[int]) -> bool:
    """Whether a program that ended with ``code`` is not restarted. After a signal it always is."""
    return code >= 0 and code in no_restart_codes


class ProgramRunner:
    """Runs one program until a stop signal arrives or an exit code ends it."""

    def __init__(self, specification: Specification) -> None:
        """Install the signal handlers of this process."""
        self.specification = specification
        self.state = ProgramState()
        self.backoff = Backoff(specification.first_seconds, specification.cap_seconds, specification.healthy_seconds)
        self.stop_requested = False
        self._reader, writer = socket.socketpair()
        self._writer = writer
        self._reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in (*_STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)

    def run(self) -> int:
        """Run and restart the program until the end.

        Returns:
            0 after a requested stop, else the program's exit code that must not be restarted.
        """
        self._resume()
        while True:
            started = time.monotonic()
            code = self._run_once()
            if self.stop_requested:
                self._enter("stopped", pid=0)
                return 0
            if must_not_restart(code, self.specification.no_restart_codes):
                self._log(f"ended with {describe_exit(code)}, which is not restarted")
                self._enter("ended", pid=0, last_exit=describe_exit(code))
                return code
            delay = self.backoff.delay_after(time.monotonic() - started)
            self._log(f"ended with {describe_exit(code)}; starting again in {delay:g} s")
            self._enter(
                "waiting",
                pid=0,
                last_exit=describe_exit(code),
                restarts=self.state.restarts + 1,
                next_start_us=_now_us() + int(delay * 1e6),
            )
            if self._stopped_within(delay):
                self._enter("stopped", pid=0)
                return 0

    def _resume(self) -> None:
        """After a killed parent process: end the rest of its program, and continue its count of restarts."""
        try:
            previous = ProgramState(**json.loads(Path(self.specification.state_file).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return
        if previous.state in ("running", "waiting"):
            self.state.restarts = previous.restarts + 1
        if previous.pid:
            for pid in _members(previous.pid, self.specification.state_file):
                self._log(f"ends process {pid}, left by a parent process that was killed")
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def _run_once(self) -> int:
        """Start the program and wait for its end; returns 127 if it cannot be started."""
        specification = self.specification
        try:
            child = subprocess.Popen(
                specification.argv,
                cwd=specification.cwd,
                env=os.environ | specification.env | {MARKER: specification.state_file},  # noqa: TID251 - passed on
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                user=specification.user_id,
                group=specification.group_id,
                extra_groups=None if specification.user_id is None else [],
                preexec_fn=_die_with_parent(signal.SIGKILL),
            )
        except (OSError, subprocess.SubprocessError) as error:
            self._log(f"cannot be started: {error}")
            return 127
        self._enter("running", pid=child.pid, started_us=_now_us(), next_start_us=0)
        kill_at: float | None = None
        while not _has_ended(child.pid):
            timeout = None if kill_at is None else max(0.0, kill_at - time.monotonic())
            if self._stop_signal_within(timeout):
                self.stop_requested = True
                _signal_group(child.pid, specification.stop_signal)
                kill_at = kill_at or time.monotonic() + specification.stop_seconds
            elif kill_at is not None and time.monotonic() >= kill_at:
                self._log(f"did not stop within {specification.stop_seconds:g} s and is killed")
                _signal_group(child.pid, signal.SIGKILL)
                kill_at = float("inf")
        _signal_group(child.pid, signal.SIGKILL)
        return child.wait()

    def _stop_signal_within(self, seconds: float | None) -> bool:
        """Wait for a signal, at most ``seconds`` (None or infinite: no limit); returns True if it is a stop signal."""
        limit = None if seconds is None or seconds == float("inf") else seconds
        select.select([self._reader], [], [], limit)
        with contextlib.suppress(BlockingIOError):
            return any(number in _STOP_SIGNALS for number in self._reader.recv(64))
        return False

    def _stopped_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._stop_signal_within(left):
                return True
        return False

    def _enter(self, state: str, **changes: object) -> None:
        self.state = ProgramState(**(asdict(self.state) | changes | {"state": state}))
        path = Path(self.specification.state_file)
        scratch = path.with_name(path.name + ".new")
        scratch.write_text(json.dumps(asdict(self.state)), encoding="utf-8")
        scratch.replace(path)

    def _log(self, message: str) -> None:
        sys.stderr.write(f"[{self.specification.name}] {message}\n")
        sys.stderr.flush()


def _now_us() -> int:
    return time.time_ns() // 1000


def _has_ended(pid: int) -> bool:
    """Whether the program has ended. It is not reaped yet, so its process id and group id are not reused."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _members(group: int, state_file: str) -> list[int]:
    """Return processes of a group with this program's marker; none if the kernel does not list them (not Linux)."""
    marker, pids = f"{MARKER}={state_file}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_member = os.getpgid(int(folder.name)) == group and marker in (folder / "environ").read_bytes().split(
                b"\0"
            )
        except OSError:
            continue
        if is_member:
            pids.append(int(folder.name))
    return pids


def _die_with_parent(number: int) -> Callable[[], None] | None:
    """Return a function that requests signal ``number`` for the death of the parent; None if not on Linux."""
    if sys.platform != "linux":
        return None
    set_option = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        set_option(_PR_SET_PDEATHSIG, number, 0, 0, 0)

    return ask


def main(arguments: list[str]) -> int:
    """Run the program described by the file named in ``arguments``."""
    try:
        specification = Specification(**json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    except (IndexError, OSError, ValueError, TypeError) as error:
        sys.stderr.write(f"no program to run: {error}\n")
        return UNREADABLE_SPECIFICATION
    runner = ProgramRunner(specification)
    if ask := _die_with_parent(signal.SIGTERM):
        ask()
        if os.getppid() == _ORPHANED:
            return 0
    return runner.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
