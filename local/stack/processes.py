"""Find the processes of a stack by the marker in their environment and by descent, never by process id alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from local.stack.environment import MARKER


def stack_processes(root: Path) -> list[psutil.Process]:
    """Return all running processes of the stack with data folder ``root``, without the caller and its ancestors.

    A process belongs to the stack if its environment contains the marker, or if an ancestor's does. PostgreSQL's child
    processes overwrite their environment with their title.
    """
    here = psutil.Process()
    excepted = {here.pid, *(ancestor.pid for ancestor in here.parents())}
    by_pid: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid in excepted or not _carries_marker(process, root):
            continue
        by_pid[process.pid] = process
        for child in _descendants(process):
            by_pid.setdefault(child.pid, child)
    return [process for pid, process in sorted(by_pid.items()) if pid not in excepted]


def listens(root: Path, port: int) -> bool:
    """Whether a process of the stack listens on a loopback port, and not an unrelated process that took it first.

    The result is also True if the caller may not read the connections of a process.
    """
    for process in stack_processes(root):
        try:
            connections = process.net_connections("tcp")
        except psutil.AccessDenied:
            return True
        except psutil.Error:
            continue
        if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections):
            return True
    return False


def still_alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return those of ``processes`` that still run; a process id that was reused does not count."""
    return [process for process in processes if _is_alive(process)]


def terminate(processes: Iterable[psutil.Process]) -> None:
    """Send SIGTERM to each process."""
    for process in processes:
        _ignoring_errors(process.terminate)


def kill(processes: Iterable[psutil.Process]) -> None:
    """Send SIGKILL to each process."""
    for process in processes:
        _ignoring_errors(process.kill)


def _carries_marker(process: psutil.Process, root: Path) -> bool:
    try:
        return bool(process.environ().get(MARKER) == str(root)) and _is_alive(process)
    except (psutil.Error, OSError):
        return False


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _ignoring_errors(action: Callable[[], object]) -> None:
    try:
        action()
    except psutil.Error:
        return
