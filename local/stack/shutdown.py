"""Stop every process of a stack: its programs, the supervisor, and leftover processes."""

from __future__ import annotations

import contextlib
from pathlib import Path

from local.stack import processes
from local.stack.credentials import Credentials, load
from local.stack.layout import StackLayout
from local.stack.startup import OnPartProgress
from local.stack.state_file import StackState, load_stack_state
from local.stack.supervisor import Supervisor
from local.stack.wait import wait_until
from moderation.errors import StackError

_STOP_SECONDS = 60.0
_KILL_SECONDS = 10.0


def responding_supervisor(
    layout: StackLayout, stack_state: StackState, credentials: Credentials | None
) -> Supervisor | None:
    """Return the supervisor of a stack that is up; None if none answers."""
    if credentials is None or "supervisor" not in stack_state.ports:
        return None
    supervisor = Supervisor(layout, port=stack_state.ports["supervisor"], password=credentials.supervisor)
    return supervisor if supervisor.is_running() else None


def stop_everything(layout: StackLayout, on_progress: OnPartProgress) -> None:
    """Stop programs in the reverse order of their dependencies, then the supervisor, then leftover processes."""
    stack_state = load_stack_state(layout.state_file)
    if stack_state and (supervisor := responding_supervisor(layout, stack_state, load(layout.credentials_file))):
        for level in sorted(set(stack_state.levels.values()), reverse=True):
            names = [name for name, depth in stack_state.levels.items() if depth == level]
            on_progress("stack", f"stopping {', '.join(names)}")
            with contextlib.suppress(StackError):
                supervisor.stop(names)
        # The supervisor waits for its programs, not for their processes in other groups, such as Airflow's tasks.
        daemon = read_pid(layout.run / "supervisord.pid")
        itself = [process for process in processes.stack_processes(layout.root) if process.pid == daemon]
        supervisor.shut_down()
        with contextlib.suppress(StackError):
            wait_until(lambda: not processes.still_alive(itself), seconds=_STOP_SECONDS, description="supervisord")
    end_leftovers(layout, on_progress)


def end_leftovers(layout: StackLayout, on_progress: OnPartProgress) -> None:
    """End processes that no supervisor controls: terminate, then kill, then search again."""
    leftovers = processes.stack_processes(layout.root)
    if not leftovers:
        return
    on_progress("stack", f"ending {len(leftovers)} processes that nothing supervises")
    processes.terminate(leftovers)
    with contextlib.suppress(StackError):
        wait_until(
            lambda: not processes.still_alive(leftovers), seconds=_KILL_SECONDS, description="leftover processes"
        )

    def none_left() -> bool:
        rest = [*processes.still_alive(leftovers), *processes.stack_processes(layout.root)]
        processes.kill(rest)
        return not rest

    wait_until(none_left, seconds=_KILL_SECONDS, description=f"the end of every process of {layout.root}")


def read_pid(path: Path) -> int:
    """Return the process id in a file; 0 without one."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
