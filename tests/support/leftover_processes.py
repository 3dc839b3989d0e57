"""Finding what a stack left running, without the code under test."""

from __future__ import annotations

from pathlib import Path

from local.stack.environment import MARKER


def leftover_processes(root: Path) -> list[int]:
    """Ids of processes that carry the mark of the stack in ``root``."""
    mark, found = f"{MARKER}={root}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found
