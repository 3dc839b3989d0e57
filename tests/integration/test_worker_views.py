"""HTTP views, metrics and logs of a worker."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretStr

from local.bench.stream.corpus import Sender
from local.stack.ports import any_free_port
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.sql.windows import newest_windows
from moderation.contracts import Comment
from moderation.errors import DatabaseUnavailable
from moderation.timestamps import now_us
from tests.support.workers import SpeedLayerUnderTest, comments

TOKEN = "token-of-the-tests-of-views"


def ask(url: str, body: bytes | None = None, token: str = TOKEN) -> tuple[int, Any]:
    """Return status and JSON of an answer, the text if it is no JSON; 0 without a listener."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
            return error.code, json.loads(text) if text[:1] == b"{" else text.decode()
    except urllib.error.URLError:
        return 0, None


HOST = "127.0.0.2"
"""Another address of the loopback range than the default."""


@pytest.fixture
def watched(layer: SpeedLayerUnderTest) -> str:
    """Worker with views that has decided 200 comments; the value is the address of its views."""
    web, metrics = any_free_port(), any_free_port()
    changes = {"worker_host": HOST, "worker_web_port": web, "metrics_port": metrics, "http_token": SecretStr(TOKEN)}
    layer.settings = layer.settings.model_copy(update={**changes, "state_folder": layer.folder / "state"})
    layer.start_worker(web=True)
    layer.produce(comments(200))
    layer.wait_accounted(200)
    return f"http://{HOST}:{web}"


def test_the_views_show_model_lag_and_scores(layer: SpeedLayerUnderTest, watched: str) -> None:
    assert ask(f"{watched}/health") == (200, {"status": "ok"})
    for port in (layer.settings.worker_web_port, layer.settings.metrics_port):
        assert ask(f"http://127.0.0.1:{port}/health")[0] == 0, "it listens where it was not told to"
    wait_until(lambda: ask(f"{watched}/ready")[0] == 200, seconds=30, description="readiness")
    assert ask(f"{watched}/model")[1]["model_version"] == "1"
    wait_until(lambda: ask(f"{watched}/lag")[1]["records"] == 0, seconds=30, description="no lag")
    status, scored = ask(f"{watched}/score", b'{"text": "you idiot!!! 7"}')
    assert status == 200
    assert 0 <= scored["score_ppm"] <= 1_000_000
    assert scored.keys() == {"score_ppm", "verdict", "reasons", "model_version", "policy_version"}
    assert ask(f"{watched}/score", b"nonsense")[0] == 400
    assert ask(f"{watched}/score", json.dumps({"text": "x" * 40_001}).encode())[0] == 413
    status, found = ask(f"{watched}/windows?community=science")
    assert status == 200
    assert sum(window["comments"] for window in found["windows"]) == 100
    assert ask(f"{watched}/windows?most=0")[0] == 400
    assert layer.accounted() == 200


FORBIDDEN: tuple[tuple[str, bytes | None], ...] = (
    ("/model", None),
    ("/lag", None),
    ("/windows", None),
    ("/score", b'{"text": "you idiot!!!"}'),
    ("/", None),
    ("/router/decide/key", None),
    ("/table/", None),
    ("/stats/", None),
    ("/nowhere", None),
)
"""Requests to the views that need the token."""


def test_the_views_and_metrics_are_closed_without_the_token(layer: SpeedLayerUnderTest, watched: str) -> None:
    port = layer.settings.metrics_port
    for token in ("", "another-token-of-this-length", TOKEN[:-1], TOKEN + "x"):
        for path, body in FORBIDDEN:
            status, answer = ask(watched + path, body, token)
            assert status == 401, (path, token)
            assert "MODERATION_HTTP_TOKEN" in answer["error"]
        assert ask(f"http://{HOST}:{port}/metrics", token=token)[0] == 401
    assert ask(f"{watched}/health", token="") == (200, {"status": "ok"})
    wait_until(lambda: ask(f"{watched}/ready", token="") == (200, {"ready": True}), seconds=30, description="readiness")
    assert ask(f"{watched}/ready")[1].keys() >= {"ready", "missing", "registry"}
    with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=10) as answer:
        assert answer.read() == b"ok\n"
    assert [ask(watched + path)[0] for path in ("/router/decide/key", "/table/", "/stats/")] == [404] * 3
    assert TOKEN not in (layer.folder / "worker-0.log").read_text()


def test_health_answers_while_others_exhaust_the_rate_and_wait_for_the_database(
    layer: SpeedLayerUnderTest, watched: str
) -> None:
    with ThreadPoolExecutor(40) as pool:
        with psycopg.connect(layer.database_url) as connection:
            connection.execute("LOCK TABLE batch.panes IN ACCESS EXCLUSIVE MODE")
            windows = [pool.submit(ask, f"{watched}/windows") for _ in range(40)]
            began = time.monotonic()
            assert [ask(f"{watched}/health")[0] for _ in range(20)] == [200] * 20
            assert time.monotonic() - began < 3
            assert not all(each.done() for each in windows), "none of them waits for the database"
        statuses = [each.result()[0] for each in windows]
    assert 429 in statuses, "the rate and the queue of the view are limited"
    assert {200, 503} & {*statuses}, "the first ones waited for the database"


def test_a_query_of_windows_ends_after_its_time(layer: SpeedLayerUnderTest) -> None:
    with psycopg.connect(layer.database_url) as connection:
        connection.execute("LOCK TABLE batch.panes IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseUnavailable, match="statement timeout"):
            newest_windows(layer.database_url, UUID(layer.topic_id), None, 5, seconds=0.2)
    assert newest_windows(layer.database_url, UUID(layer.topic_id), None, 5, seconds=10) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104
def test_a_worker_that_other_machines_reach_ends_without_a_token(layer: SpeedLayerUnderTest, host: str) -> None:
    layer.settings = layer.settings.model_copy(update={"worker_host": host})
    assert layer.start_worker(web=True).wait(60) == 78
    assert "MODERATION_HTTP_TOKEN: it is not set" in (layer.folder / "worker-0.log").read_text()


def metrics(layer: SpeedLayerUnderTest) -> dict[str, float]:
    """Return the metrics as Prometheus reads them."""
    url = f"http://{HOST}:{layer.settings.metrics_port}/metrics"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        lines = answer.read().decode().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line[0] != "#"}


LOOKED_AT = ("lag_records{", "watermark_delay_seconds{")


def test_metrics_equal_the_ledger(layer: SpeedLayerUnderTest, watched: str) -> None:
    def is_looked_at() -> bool:
        shown = metrics(layer)
        return all(any(name.startswith(f"moderation_{what}") for name in shown) for what in LOOKED_AT)

    wait_until(is_looked_at, seconds=30, description="the watchdog's first look")
    values = metrics(layer)
    assert values['moderation_decisions_total{fate="counted"}'] == 200
    assert sum(value for name, value in values.items() if name.startswith("moderation_verdicts_total")) == 200
    assert values['moderation_commit_latency_seconds_bucket{le="+Inf"}'] == 200
    assert values["moderation_fence_losses_total"] == 0
    for name in ("stage_seconds_count", "batch_records_count"):
        assert any(found.startswith(f"moderation_{name}") for found in values), name


def test_logs_are_json_lines_without_a_comments_text(layer: SpeedLayerUnderTest) -> None:
    secret = "unmistakable-words-of-a-comment"
    layer.settings = layer.settings.model_copy(update={"log_level": "debug", "dead_letter_run": 5})
    worker = layer.start_worker()
    good = json.loads(comments(1)[0][1])
    bodies = [
        json.dumps({**good, "comment_id": "a", "body": f"{secret} you idiot!!!"}),
        json.dumps({**good, "comment_id": "b", "body": secret, "event_time_us": "no time"}),
        secret,
    ]
    layer.produce([("k", body.encode()) for body in bodies])
    layer.produce([("k", secret.encode())] * 6)
    assert worker.wait(60) == 78
    lines = (layer.folder / "worker-0.log").read_text().splitlines()
    assert secret not in "\n".join(lines)
    parsed = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(parsed) > 5
    assert all({"event", "level", "logger", "timestamp"} <= line.keys() for line in parsed)
    assert any("unreadable records in a row" in str(line["event"]) for line in parsed)


def test_a_single_comment_on_an_idle_stream_is_decided_at_once(layer: SpeedLayerUnderTest, watched: str) -> None:
    # The budget is generous; `moderation bench stream` measures what it takes.
    within = 'moderation_commit_latency_seconds_bucket{le="1.0"}'
    before = metrics(layer)[within]
    for number in range(10):
        layer.produce(comments(1, start=1_000 + number))
        layer.wait_accounted(201 + number, seconds=10)
    wait_until(lambda: metrics(layer)[within] == before + 10, seconds=5, description="ten lone comments in a second")


def test_steady_traffic_is_fetched_in_groups(layer: SpeedLayerUnderTest, watched: str) -> None:
    fetches = "moderation_fetch_records_count"
    before, began = metrics(layer)[fetches], time.monotonic()
    sender = Sender(kafka_of(layer.settings), layer.topic, linger_ms=0)
    for number in range(800):
        sender.send(Comment(f"steady{number}", "science", f"the {number}th of many", now_us()))
        sender.poll(0.005)
    sender.close()
    layer.wait_accounted(1_000)
    gathered = 4 * (time.monotonic() - began) / 0.04
    assert metrics(layer)[fetches] - before < gathered, "a fetch of one record costs as much as one of many"
