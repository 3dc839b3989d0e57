"""TCP relay to a server, which a test closes to make the server unreachable."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


class Relay:
    """Forwards connections until :meth:`close`; then new ones are refused and open ones break.

    Attributes:
        port: on the loopback address.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._sockets: list[socket.socket] = []
        self.port = 0
        self._listener: socket.socket | None = None
        self.open()

    def open(self) -> None:
        """Listen, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._start(self._accept, self._listener)

    def close(self) -> None:
        """Refuse new connections and break open ones."""
        listener, self._listener = self._listener, None
        for each in ([listener] if listener is not None else []) + self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets = []

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, server]
                for source, sink in ((client, server), (server, client)):
                    self._start(self._copy, source, sink)

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _start(self, target: Callable[..., None], *given: object) -> None:
        threading.Thread(target=target, args=given, daemon=True).start()


@contextlib.contextmanager
def relay_to(port: int) -> Iterator[Relay]:
    """Relay to a port of the loopback address; closed at the end."""
    relay = Relay(port)
    try:
        yield relay
    finally:
        relay.close()
