"""Find processes that a stack left running, without the code under test."""

from __future__ import annotations

from pathlib import Path

from local.stack.environment import MARKER


def leftover_processes(root: Path) -> list[int]:
    """Return ids of processes with the environment marker of the stack in ``root``."""
    marker, process_ids = f"{MARKER}={root}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (folder / "environ").read_bytes().split(b"\0"):
                process_ids.append(int(folder.name))
        except OSError:
            continue
    return process_ids
