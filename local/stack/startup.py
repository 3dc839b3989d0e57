"""Starting programs side by side, each as soon as what it depends on is ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event

from local.stack.layout import StackLayout
from local.stack.processes import listens
from local.stack.program import Program
from local.stack.run_with_backoff import ProgramState
from local.stack.supervisor import ENDED, RUNNING, Supervisor, read_program_state
from local.stack.wait import wait_until
from moderation.errors import StackError

OnPartProgress = Callable[[str, str], None]
"""Receives the name of a part and what happens to it."""

_A_WHILE_US = 1_000_000
_TAIL_LINES = 5
_TAIL_BYTES = 4096


def no_part_progress(part: str, event: str) -> None:
    """Ignore a progress message; the default callback."""


def bring_up(programs: list[Program], supervisor: Supervisor, layout: StackLayout, on_progress: OnPartProgress) -> None:
    """Start what does not run and wait until everything is ready.

    Args:
        programs: in start order.
        supervisor: runs them.
        layout: the stack.
        on_progress: receives every start and every readiness; several threads call it.

    Raises:
        ModerationError: what the first program that failed raised; programs that depend on it were not started.
    """
    for program in programs:
        supervisor.add(program)
    begun: dict[str, Future[None]] = {}
    interrupted = Event()
    with ThreadPoolExecutor(max_workers=max(1, len(programs))) as pool:
        for program in programs:
            awaited = [(name, begun[name]) for name in program.depends_on]
            begun[program.name] = pool.submit(
                _bring_up_one, program, awaited, supervisor, layout, on_progress, interrupted
            )
        try:
            wait(begun.values())
        except BaseException:
            interrupted.set()
            raise
    failures = [error for future in begun.values() if (error := future.exception())]
    for failure in sorted(failures, key=lambda error: isinstance(error, DependencyError)):
        raise failure


class DependencyError(StackError):
    """A program was not started because one it depends on failed."""


def _bring_up_one(
    program: Program,
    awaited: Iterable[tuple[str, Future[None]]],
    supervisor: Supervisor,
    layout: StackLayout,
    on_progress: OnPartProgress,
    interrupted: Event,
) -> None:
    for name, future in awaited:
        if future.exception():
            raise DependencyError(f"program {program.name}", f"it needs {name}, which failed")
    if supervisor.states().get(program.name) not in RUNNING:
        on_progress(program.name, "preparing")
        program.prepare()
        supervisor.run(program.name)
        on_progress(program.name, "starting")
    log = layout.log_file(program.name)

    def ready() -> bool:
        if interrupted.is_set():
            raise StackError(f"program {program.name}", "waiting for it was interrupted")
        if (state := supervisor.states().get(program.name)) in ENDED:
            exit_seen = read_program_state(layout, program.name).last_exit or str(state).lower()
            raise StackError(f"program {program.name}", f"it ended: {exit_seen}{_tail(log)}", f"See {log}.")
        if program.ready is None:
            return _has_run_a_while(read_program_state(layout, program.name))
        # Two stacks that start at once may choose one port: the other's server would answer in this one's place.
        return program.ready() and (not program.address or listens(layout.root, _port(program.address)))

    where = f"{program.name} on {program.address}" if program.address else program.name
    seconds = wait_until(ready, seconds=program.ready_seconds, description=where, remedy=f"See {log}.{_tail(log)}")
    program.after_ready()
    on_progress(program.name, f"ready after {seconds:.1f} s")


def _port(address: str) -> int:
    return int(address.rsplit(":", 1)[1])


def _has_run_a_while(state: ProgramState) -> bool:
    return state.state == "running" and time.time_ns() // 1000 - state.started_us >= _A_WHILE_US


def _tail(log: Path) -> str:
    """The last lines of a log, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
    except OSError:
        return ""
    return "\n  " + "\n  ".join(lines) if lines else ""
