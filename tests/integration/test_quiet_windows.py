"""Windows close without further comments, and show when a late comment re-opens them."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from typing import Any

import psycopg
import pytest

from local.stack.ports import any_free_port
from local.stack.wait import wait_until
from moderation.adapters.kafka.topics import COMMENTS
from moderation.contracts import Comment, to_json
from moderation.panes import PANE_US
from moderation.timestamps import now_us
from tests.integration.test_transactions import Transactional
from tests.support.workers import Record, SpeedLayerUnderTest, comments

HOUR_US = 12 * PANE_US
NOW_US = now_us()
AGO_US = NOW_US // HOUR_US * HOUR_US - 2 * HOUR_US
"""Start of an hour that ended an hour ago at least."""


def at(number: int, event_time_us: int, comment_id: str = "quiet", community: str = "science") -> Record:
    return comment_id, to_json(Comment(comment_id, community, f"text {number}", event_time_us))


def ask(layer: SpeedLayerUnderTest, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(layer.database_url) as connection:
        return connection.execute(query, (layer.topic_id,)).fetchall()


def windows(layer: SpeedLayerUnderTest, view: str = "tumbling") -> dict[int, tuple[int, bool, bool]]:
    """Return comments, closed and re-opened by start of window."""
    query = f"SELECT start_us, comments, is_closed, is_reopened FROM serving.{view}_windows WHERE topic_id = %s"
    return {start_us: (count, closed, reopened) for start_us, count, closed, reopened in ask(layer, query)}


def ends(layer: SpeedLayerUnderTest) -> dict[int, int | None]:
    return dict(ask(layer, "SELECT partition, read_to_end_us FROM speed.source_offsets WHERE topic_id = %s"))


@pytest.mark.long
def test_a_window_closes_without_another_comment_and_a_later_one_reopens_it(layer: SpeedLayerUnderTest) -> None:
    port = any_free_port()
    layer.settings = layer.settings.model_copy(update={"worker_web_port": port})
    layer.produce([at(1, AGO_US), at(2, AGO_US + PANE_US), at(3, NOW_US, "loud", "cooking")])
    assert len({each.partition for each in layer.delivered}) == 2
    worker = layer.start_worker(web=True)
    layer.wait_accounted(3)
    wait_until(lambda: windows(layer)[AGO_US][1], seconds=30, description="the window closes")
    assert windows(layer)[AGO_US] == (2, True, False)
    assert windows(layer)[NOW_US // HOUR_US * HOUR_US] == (1, False, False), "its deadline has not come"

    # An idle worker writes when panes end, not at each observation.
    seen, until = {tuple(sorted(ends(layer).items()))}, time.monotonic() + 12
    while time.monotonic() < until:
        seen.add(tuple(sorted(ends(layer).items())))
        time.sleep(0.2)
    assert len(seen) <= 2

    layer.produce([at(4, AGO_US + PANE_US)])
    layer.wait_accounted(4)
    assert windows(layer)[AGO_US] == (3, True, True)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/windows?community=science") as answer:
        (shown,) = json.loads(answer.read())["windows"]
    assert (shown["comments"], shown["is_closed"], shown["is_reopened"]) == (3, True, True)
    # Every hour with the pane in it, and no other.
    hopping = windows(layer, "hopping")
    assert {start: is_reopened for start, (_, _, is_reopened) in hopping.items() if start <= AGO_US + PANE_US} == {
        AGO_US + shift * PANE_US: shift > -11 for shift in range(-11, 2)
    }

    worker.send_signal(signal.SIGKILL)
    worker.wait(30)
    layer.produce([at(5, AGO_US + 2 * PANE_US)])
    layer.start_worker()
    layer.wait_accounted(5)
    assert windows(layer)[AGO_US] == (4, True, True)
    assert ask(layer, "SELECT DISTINCT fate FROM speed.decisions WHERE topic_id = %s") == [("counted",)]
    found = layer.comparison()
    assert found.is_exact, found.examples


@pytest.mark.budget(40)
def test_a_partition_with_an_open_transaction_is_not_read_to_its_end(layer: SpeedLayerUnderTest) -> None:
    producer = Transactional(layer, "open")
    layer.produce([at(1, AGO_US)])
    layer.delivered += producer.send(comments(40))
    layer.start_worker()
    layer.wait_accounted(1)
    until = time.monotonic() + 11
    wait_until(lambda: time.monotonic() > until, seconds=20, description="two looks")
    assert ends(layer) == dict.fromkeys(range(COMMENTS.partitions))
    assert windows(layer)[AGO_US] == (1, False, False)
    producer.commit()
    wait_until(lambda: windows(layer)[AGO_US][1], seconds=30, description="the window closes")
    assert windows(layer)[AGO_US] == (1, True, False)
