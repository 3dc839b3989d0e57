"""Choose ports on the loopback address: the preferred one if it is free, else any free one.

Seconds pass between the choice and the start of the server. Stacks that start at the same time must not choose the same
port, so each claims the ports that it chose until its servers listen.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

HOST = "127.0.0.1"
_UNASSIGNED = (20_000, 32_768)
_RANDOM = random.SystemRandom()
_CLAIM_SECONDS = 120
"""Older claims are of a process that was killed."""

DEFAULT_PORTS: Mapping[str, int] = {
    "kafka": 9092,
    "kafka-controller": 9093,
    "postgres": 5432,
    "mlflow": 5000,
    "supervisor": 9001,
}


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def any_free_port() -> int:
    """Return a free port outside the range of ephemeral ports, so that no outgoing connection takes it."""
    while True:
        port = _RANDOM.randrange(*_UNASSIGNED)
        if is_free(port):
            return port


class PortClaims:
    """Ports that other stacks on this machine must not choose; leaving the context ends the claims.

    Args:
        folder: one file for each claimed port; a folder of the user in the folder of temporary files by default.
        free: whether a server could listen on a port now.
    """

    def __init__(self, folder: Path | None = None, free: Callable[[int], bool] = is_free) -> None:
        self._free = free
        self._folder = folder or Path(tempfile.gettempdir()) / f"moderation-ports-{os.getuid()}"
        self._files: list[Path] = []

    def take(self, port: int) -> bool:
        """Whether the port is free; if so, claim it."""
        if not self._free(port):
            return False
        self._folder.mkdir(mode=0o700, exist_ok=True)
        file = self._folder / str(port)
        with contextlib.suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime > _CLAIM_SECONDS:
                file.unlink(missing_ok=True)
        try:
            file.touch(exist_ok=False)
        except FileExistsError:
            return False
        self._files.append(file)
        return True

    def __enter__(self) -> PortClaims:
        """Begin without claims."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End all claims."""
        for file in self._files:
            file.unlink(missing_ok=True)
        self._files.clear()


def choose_ports(
    wanted: Mapping[str, int],
    *,
    recorded: Mapping[str, int] | None = None,
    free: Callable[[int], bool] = is_free,
    any_free: Callable[[], int] = any_free_port,
) -> dict[str, int]:
    """Choose a different port for each name.

    Args:
        wanted: the preferred port of each name.
        recorded: ports that names had before; tried first, so that addresses stay the same if possible.
        free: returns whether a port may be used.
        any_free: proposes a port if the preferred ones are taken.

    Returns:
        One distinct port per name of ``wanted``.
    """
    chosen: dict[str, int] = {}
    earlier = recorded or {}
    for name, preferred in wanted.items():
        candidates = [earlier[name], preferred] if name in earlier else [preferred]
        port = next((port for port in candidates if port not in chosen.values() and free(port)), 0)
        while not port:
            proposal = any_free()
            if proposal not in chosen.values() and proposal not in wanted.values():
                port = proposal
        chosen[name] = port
    return chosen
