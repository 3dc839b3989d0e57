"""Start programs in parallel, each as soon as its dependencies are ready."""

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

_LONG_ENOUGH_US = 1_000_000
_TAIL_LINES = 5
_TAIL_BYTES = 4096


def no_part_progress(part: str, event: str) -> None:
    """Ignore a progress message; the default callback."""


def bring_up(programs: list[Program], supervisor: Supervisor, layout: StackLayout, on_progress: OnPartProgress) -> None:
    """Start the programs that do not run; wait until all are ready.

    Args:
        programs: in start order.
        supervisor: runs them.
        layout: the stack.
        on_progress: receives every start and every readiness; several threads call it.

    Raises:
        ModerationError: of the first program that failed; programs that depend on it are not started.
    """
    for program in programs:
        supervisor.add(program)
    futures: dict[str, Future[None]] = {}
    interrupted = Event()
    with ThreadPoolExecutor(max_workers=max(1, len(programs))) as pool:
        for program in programs:
            dependencies = [(name, futures[name]) for name in program.depends_on]
            futures[program.name] = pool.submit(
                _bring_up_one, program, dependencies, supervisor, layout, on_progress, interrupted
            )
        try:
            wait(futures.values())
        except BaseException:
            interrupted.set()
            raise
    failures = [error for future in futures.values() if (error := future.exception())]
    for failure in sorted(failures, key=lambda error: isinstance(error, DependencyError)):
        raise failure


class DependencyError(StackError):
    """A program was not started because one it depends on failed."""


def _bring_up_one(
    program: Program,
    dependencies: Iterable[tuple[str, Future[None]]],
    supervisor: Supervisor,
    layout: StackLayout,
    on_progress: OnPartProgress,
    interrupted: Event,
) -> None:
    for name, future in dependencies:
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
            last_exit = read_program_state(layout, program.name).last_exit or str(state).lower()
            raise StackError(f"program {program.name}", f"it ended: {last_exit}{_tail(log)}", f"See {log}.")
        if program.ready is None:
            return _has_run_long_enough(read_program_state(layout, program.name))
        # Two stacks that start at the same time may choose the same port; then the other stack's server would answer.
        return program.ready() and (not program.address or listens(layout.root, _port(program.address)))

    where = f"{program.name} on {program.address}" if program.address else program.name
    seconds = wait_until(ready, seconds=program.ready_seconds, description=where, remedy=f"See {log}.{_tail(log)}")
    program.after_ready()
    on_progress(program.name, f"ready after {seconds:.1f} s")


def _port(address: str) -> int:
    return int(address.rsplit(":", 1)[1])


def _has_run_long_enough(state: ProgramState) -> bool:
    return state.state == "running" and time.time_ns() // 1000 - state.started_us >= _LONG_ENOUGH_US


def _tail(log: Path) -> str:
    """Return the last lines of a log, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
    except OSError:
        return ""
    return "\n  " + "\n  ".join(lines) if lines else ""
