"""Expensive texts delay their own partition, but neither the others nor the HTTP views."""

from __future__ import annotations

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from local.stack.ports import any_free_port
from local.stack.wait import wait_until
from moderation.contracts import Comment, to_json
from tests.integration.test_worker_views import ask
from tests.support.workers import Record, SpeedLayerUnderTest, comments

_CHARACTERS = 40_000
_MARKS = "!?.,;:'\")("


def expensive_text(seed: int) -> str:
    """Return chunks of ten letters and many marks, which the tokenizer splits off; all are new to the kernel."""
    choose = random.Random(seed)
    chunks = ["".join(choose.choices("abcdefghij", k=10) + choose.choices(_MARKS, k=53)) for _ in range(625)]
    return " ".join(chunks)[:_CHARACTERS]


def expensive_records(count: int) -> list[Record]:
    """Return comments with one key, which go to one partition."""
    return [
        ("one", to_json(Comment(f"x{n}", "science", expensive_text(n), 1_700_000_000_000_000 + n)))
        for n in range(count)
    ]


@pytest.fixture
def web(layer: SpeedLayerUnderTest) -> str:
    port = any_free_port()
    changes = {"worker_web_port": port, "state_folder": layer.folder / "state"}
    layer.settings = layer.settings.model_copy(update=changes)
    layer.start_worker(web=True)
    layer.produce(comments(50))
    layer.wait_accounted(50)
    return f"http://{layer.settings.worker_host}:{port}"


def accounted_by_partition(layer: SpeedLayerUnderTest) -> dict[int, int]:
    with psycopg.connect(layer.database_url) as connection:
        return dict(
            connection.execute(
                "SELECT partition, next - first FROM speed.source_offsets WHERE topic_id = %s", (layer.topic_id,)
            ).fetchall()
        )


@pytest.mark.long
@pytest.mark.budget(120)
def test_other_partitions_and_health_are_served_while_expensive_texts_are_decided(
    layer: SpeedLayerUnderTest, web: str
) -> None:
    count = 30
    before = accounted_by_partition(layer)
    layer.produce(expensive_records(count))
    hostile = layer.delivered[-1].partition
    usual = comments(400, start=50)
    longest = 0.0
    stop = threading.Event()

    def watch() -> None:
        nonlocal longest
        while not stop.wait(0.05):
            began = time.monotonic()
            assert ask(f"{web}/health")[0] == 200
            longest = max(longest, time.monotonic() - began)

    with ThreadPoolExecutor(1) as threads:
        watching = threads.submit(watch)
        try:
            layer.produce(usual)
            sent: dict[int, int] = {}
            for each in layer.delivered[-len(usual) :]:
                sent[each.partition] = sent.get(each.partition, 0) + 1
            others = {partition: number for partition, number in sent.items() if partition != hostile}

            def others_are_stored() -> bool:
                now = accounted_by_partition(layer)
                return all(now[partition] - before.get(partition, 0) >= number for partition, number in others.items())

            wait_until(others_are_stored, seconds=60, description="the other partitions")
            decided = accounted_by_partition(layer)[hostile] - before.get(hostile, 0)
            layer.wait_accounted(50 + count + len(usual))
        finally:
            stop.set()
        watching.result()
    print(f"longest /health {longest:.2f} s; {decided} of {count} expensive ones were stored before the others")  # noqa: T201
    assert decided < count, "the others waited for all expensive texts"
    assert longest < 5
    assert layer.workers[-1].poll() is None
    assert layer.comparison().is_exact


@pytest.mark.budget(90)
def test_sixteen_expensive_requests_do_not_delay_comments_by_more_than_a_second(
    layer: SpeedLayerUnderTest, web: str
) -> None:
    stored = 50

    def slowest(comments_to_send: int) -> float:
        nonlocal stored
        slowest_seconds = 0.0
        for _ in range(comments_to_send):
            began = time.monotonic()
            layer.produce(comments(1, start=stored))
            stored += 1
            layer.wait_accounted(stored, seconds=60)
            slowest_seconds = max(slowest_seconds, time.monotonic() - began)
        return slowest_seconds

    assert ask(f"{web}/score", b'{"text": "the first request makes the view ready"}')[0] == 200
    usual = slowest(5)
    bodies = [json.dumps({"text": expensive_text(1_000 + n)}).encode() for n in range(16)]
    with ThreadPoolExecutor(16) as threads:
        answers = [threads.submit(ask, f"{web}/score", body) for body in bodies]
        meanwhile = slowest(5)
        statuses = [answer.result() for answer in answers]
    print(f"slowest comment {usual:.2f} s without requests, {meanwhile:.2f} s with")  # noqa: T201
    assert {status for status, _ in statuses} == {200, 429}
    refused = [body for status, body in statuses if status == 429]
    assert all("MODERATION_VIEW_" in json.dumps(body) or "wait already" in json.dumps(body) for body in refused)
    # A second, or the same share of the processor where other programs take most of it.
    assert meanwhile < max(usual + 1, 3 * usual)
    assert ask(f"{web}/score", b"x" * 300_000)[0] == 413
