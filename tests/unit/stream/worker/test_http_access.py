from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from moderation.errors import ConfigurationError
from moderation.settings import Settings
from stream.worker.http_access import access_check, is_authorized, shows_details, web_options
from stream.worker.http_limits import ViewLimits
from stream.worker.metrics_server import metrics_app

TOKEN = "a-token-of-the-operator"
HEADERS = (
    None,
    "",
    TOKEN,
    "Bearer",
    "Bearer ",
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    f"Basic {TOKEN}",
    f"Bearer  {TOKEN}",
    "Bearer \udcff",
)


@pytest.mark.parametrize("header", HEADERS)
def test_only_the_token_authorizes(header: str | None) -> None:
    assert not is_authorized(header, TOKEN)
    assert is_authorized(f"Bearer {TOKEN}", TOKEN)
    assert is_authorized(f"bearer {TOKEN}", TOKEN)
    assert is_authorized(header, None), "without a token every request is answered"


class Api:
    """The middleware before a view that says whether it would show details."""

    def __init__(self, token: str | None = TOKEN, per_second: float = 3) -> None:
        self.check = access_check(token, ViewLimits(Settings(view_requests_per_second=per_second), lambda: 0.0))
        self.answered: list[str] = []

    def ask(self, path: str, token: str | None = None, method: str = "GET") -> tuple[int, Any]:
        async def view(request: web.Request) -> web.Response:
            self.answered.append(request.path)
            return web.json_response({"details": shows_details(request)})

        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = asyncio.run(self.check(make_mocked_request(method, path, headers), handler=view))
        return response.status, response.text


@pytest.mark.parametrize("path", ["/model", "/lag", "/score", "/windows", "/", "/nowhere", "/health/", "//health"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_every_path_but_the_health_checks_needs_the_token(path: str, method: str) -> None:
    api = Api()
    status, text = api.ask(path, method=method)
    assert status == 401
    assert "MODERATION_HTTP_TOKEN" in text
    assert api.ask(path, "wrong-wrong-wrong-wrong", method)[0] == 401
    assert api.answered == []
    assert api.ask(path, TOKEN, method)[0] == 200


def test_health_checks_answer_without_token_and_without_details() -> None:
    api = Api()
    for path in ("/health", "/ready"):
        assert api.ask(path) == (200, '{"details": false}')
        assert api.ask(path, TOKEN) == (200, '{"details": true}')


def test_health_checks_answer_while_the_rate_is_exhausted() -> None:
    api = Api(per_second=3)
    assert [api.ask("/lag", TOKEN)[0] for _ in range(5)] == [200, 200, 200, 429, 429]
    assert [api.ask(path)[0] for path in ("/health", "/ready")] == [200, 200]


def test_requests_without_the_token_do_not_use_up_the_rate() -> None:
    api = Api(per_second=3)
    assert {api.ask("/lag")[0] for _ in range(50)} == {401}
    assert api.ask("/lag", TOKEN)[0] == 200


def test_the_rate_holds_for_all_views_together_on_the_loopback_address_too() -> None:
    api = Api(token=None, per_second=2)
    assert [api.ask(path)[0] for path in ("/model", "/lag", "/windows")] == [200, 200, 429]


def test_a_worker_that_other_machines_reach_does_not_start_without_a_token() -> None:
    settings = Settings(worker_host="0.0.0.0")  # noqa: S104
    with pytest.raises(ConfigurationError, match="MODERATION_HTTP_TOKEN"):
        web_options(settings, ViewLimits(settings))


def metrics(token: str | None, per_second: float = 2) -> Any:
    """Return a function that asks the metrics for a path; it returns the status and the text."""
    app = metrics_app(token, per_second, lambda: 0.0)

    def ask(path: str, header: str | None = None) -> tuple[str, str]:
        statuses: list[str] = []
        environ = {"PATH_INFO": path, "REQUEST_METHOD": "GET", "QUERY_STRING": ""}
        environ |= {} if header is None else {"HTTP_AUTHORIZATION": header}
        body = b"".join(app(environ, lambda status, headers: statuses.append(status)))
        return statuses[0], body.decode()

    return ask


@pytest.mark.parametrize("path", ["/metrics", "/", "/favicon.ico", "/health/x"])
def test_the_metrics_need_the_token(path: str) -> None:
    ask = metrics(TOKEN)
    assert ask(path)[0] == "401 Unauthorized"
    assert ask(path, "Bearer wrong-wrong-wrong")[0] == "401 Unauthorized"
    assert ask(path, f"Bearer {TOKEN}")[0] == "200 OK"


def test_the_metrics_have_a_rate_and_a_health_check_apart() -> None:
    ask = metrics(TOKEN)
    statuses = [ask("/metrics", f"Bearer {TOKEN}")[0] for _ in range(3)]
    assert statuses == ["200 OK", "200 OK", "429 Too Many Requests"]
    assert ask("/health") == ("200 OK", "ok\n")


def test_the_metrics_of_the_loopback_address_need_no_token() -> None:
    status, text = metrics(None)("/metrics")
    assert status == "200 OK"
    assert "moderation_decisions" in text
