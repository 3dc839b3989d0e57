"""Server of the worker's metrics, in threads of its own: ``GET /metrics`` with the token, ``GET /health`` without.

It answers from the start of the process on, while the HTTP API waits for the first model.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from moderation.settings import Settings, required_http_token
from stream.worker.http_access import is_authorized
from stream.worker.http_limits import TokenBucket
from stream.worker.metrics import REGISTRY

MOST_CONNECTIONS = 8
"""Connections that are open at the same time; further ones are closed."""
REQUEST_SECONDS = 5.0
"""How long a connection may take to send its request or to accept the response."""
_App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def serve(settings: Settings) -> None:
    """Serve the metrics on the worker's address and ``metrics_port``; port 0 disables them.

    Raises:
        OSError: the port is in use, or the address does not belong to this machine.
        ConfigurationError: other machines reach the address, and there is no token.
    """
    if settings.metrics_port:
        app = metrics_app(required_http_token(settings), settings.view_requests_per_second)
        server = new_server(settings.worker_host, settings.metrics_port, app)
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def metrics_app(token: str | None, per_second: float, clock: Callable[[], float] = time.monotonic) -> _App:
    """Return the WSGI application.

    Args:
        token: the bearer token that is needed; None if none is.
        per_second: requests per second with the token; further ones get status 429.
        clock: monotonic seconds.
    """
    metrics: _App = make_wsgi_app(REGISTRY)
    requests, lock = TokenBucket(per_second, clock), threading.Lock()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def refuse(status: str, text: str, *headers: tuple[str, str]) -> Iterable[bytes]:
            start_response(status, [("Content-Type", "text/plain; charset=utf-8"), *headers])
            return [text.encode()]

        if environ["PATH_INFO"] == "/health":
            return refuse("200 OK", "ok\n")
        if not is_authorized(environ.get("HTTP_AUTHORIZATION"), token):
            text = "send the header Authorization: Bearer TOKEN (MODERATION_HTTP_TOKEN)\n"
            return refuse("401 Unauthorized", text, ("WWW-Authenticate", "Bearer"))
        with lock:
            is_within_rate = requests.take(1)
        if not is_within_rate:
            text = f"more than {per_second:g} requests a second (MODERATION_VIEW_REQUESTS_PER_SECOND)\n"
            return refuse("429 Too Many Requests", text)
        return metrics(environ, start_response)

    return app


class _Server(ThreadingWSGIServer):
    """One thread for each connection, and few connections."""

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection; close it if too many are open."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a connection that a client broke off."""


class _Handler(WSGIRequestHandler):
    """Handler that logs nothing and does not wait for slow clients."""

    timeout = REQUEST_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Log nothing."""


def new_server(host: str, port: int, app: _App) -> ThreadingWSGIServer:
    """Return a server that listens and does not answer yet.

    Raises:
        OSError: the port is in use, or the address does not belong to this machine.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]

    class Server(_Server):
        """The server with the family of this address."""

        address_family = family

    return make_server(str(address[0]), port, app, Server, handler_class=_Handler)
