"""Choose ports on the loopback address: the preferred one if it is free, else any free one."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Mapping

HOST = "127.0.0.1"
_UNASSIGNED = (20_000, 32_768)
_RANDOM = random.SystemRandom()

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
