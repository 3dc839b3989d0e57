"""The processes of a stack, found by the marker in their environment and by descent, never by a bare number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from local.stack.environment import MARKER


def stack_processes(root: Path) -> list[psutil.Process]:
    """Every living process of the stack whose data folder is ``root``, the caller and its ancestors excepted.

    A process counts if its environment carries the marker, or if it descends from one that does (PostgreSQL's
    children overwrite their environment with their title).
    """
    here = psutil.Process()
    excepted = {here.pid, *(ancestor.pid for ancestor in here.parents())}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid in excepted or not _carries_marker(process, root):
            continue
        found[process.pid] = process
        for child in _descendants(process):
            found.setdefault(child.pid, child)
    return [process for pid, process in sorted(found.items()) if pid not in excepted]


def listens(root: Path, port: int) -> bool:
    """Whether a process of the stack itself listens on a loopback port, rather than a stranger that was there first.

    Processes whose connections the caller may not see get the benefit of the doubt.
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
    """Those of ``processes`` that run still; a process id used anew by another process does not count."""
    return [process for process in processes if _is_alive(process)]


def terminate(processes: Iterable[psutil.Process]) -> None:
    """Ask each process to end."""
    for process in processes:
        _quietly(process.terminate)


def kill(processes: Iterable[psutil.Process]) -> None:
    """End each process at once."""
    for process in processes:
        _quietly(process.kill)


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


def _quietly(action: Callable[[], object]) -> None:
    try:
        action()
    except psutil.Error:
        return
