"""Access to the worker's HTTP API and metrics: a bearer token, and a rate for every request but the health checks.

A request is checked before any view runs. ``GET /health`` and ``GET /ready`` need no token and are not counted, so that
probes have an answer whatever other clients do; without the token ``/ready`` has no details.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from moderation.settings import Settings, required_http_token
from stream.worker.http_limits import Refusal, ViewLimits

UNAUTHORIZED = 401
WITHOUT_TOKEN = frozenset({"/health", "/ready"})
"""Paths that answer without a token, and that no limit of other requests delays."""
_AUTHORIZED = web.RequestKey("authorized", bool)


def is_authorized(header: str | None, token: str | None) -> bool:
    """Whether a request may be answered. The comparison takes the same time for every wrong token of one length.

    Args:
        header: the request's header ``Authorization``; None without one.
        token: the token that is needed; None if none is.
    """
    if token is None:
        return True
    scheme, _, given = (header or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(errors="surrogateescape"), token.encode())


def shows_details(request: Any) -> bool:
    """Whether the request had the token, or none is needed."""
    return bool(request.get(_AUTHORIZED, False))


def web_options(settings: Settings, limits: ViewLimits) -> dict[str, Any]:
    """Return Faust's options of the worker's web server: address, access, and no view that Faust brings along.

    Args:
        settings: address and token.
        limits: count every request but those of health checks.

    Raises:
        ConfigurationError: other machines reach the address, and there is no token.
    """
    return {
        "web_port": settings.worker_web_port,
        "web_host": settings.worker_host,
        "web_bind": settings.worker_host,
        "web_router_enabled": False,
        "web_tables_enabled": False,
        "web_application_options": {
            "middlewares": [access_check(required_http_token(settings), limits)],
            "client_max_size": settings.view_most_bytes + 1,  # aiohttp refuses bodies of this size
        },
    }


def access_check(token: str | None, limits: ViewLimits) -> Any:
    """Return the middleware that refuses a request without the token, or beyond the rate.

    Args:
        token: the token that is needed; None if none is.
        limits: count the requests.
    """

    @web.middleware
    async def check(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
        request[_AUTHORIZED] = is_authorized(request.headers.get("Authorization"), token)
        if request.path in WITHOUT_TOKEN:
            return await handler(request)
        if not shows_details(request):
            return web.json_response(
                {"error": "send the header Authorization: Bearer TOKEN (MODERATION_HTTP_TOKEN)"},
                status=UNAUTHORIZED,
                headers={"WWW-Authenticate": "Bearer"},
            )
        try:
            limits.check_rate()
        except Refusal as refusal:
            return web.json_response({"error": refusal.reason}, status=refusal.status)
        return await handler(request)

    return check
