"""Workers without partitions are healthy if others read all partitions; else they end with a reason.

Adds to test_stuck_worker, which has a group whose assignment leaves all partitions out.
"""

from __future__ import annotations

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from local.stack.commands import StackInfo
from local.stack.ports import any_free_port
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.group_readers import GroupReaders
from moderation.adapters.kafka.topics import TOPICS, ensure_topics, with_partitions
from stream.worker.watchdog import UNREAD_SECONDS
from tests.support.workers import SpeedLayerUnderTest, base_settings, comments, speed_layer

pytestmark = pytest.mark.long


@pytest.fixture
def narrow(stack: StackInfo, model: Path, topic_prefix: str, tmp_path: Path) -> Iterator[SpeedLayerUnderTest]:
    """Speed layer whose topics have one partition."""
    ensure_topics(stack.kafka, with_partitions(TOPICS, 1), prefix=topic_prefix)
    with speed_layer(base_settings(stack, topic_prefix), tmp_path) as layer:
        yield layer


def with_views(layer: SpeedLayerUnderTest) -> str:
    """Give the next worker a port; return the address of its views."""
    layer.settings = layer.settings.model_copy(update={"worker_web_port": any_free_port()})
    return f"http://127.0.0.1:{layer.settings.worker_web_port}"


def readiness(address: str) -> Any:
    """Return what a view says about readiness; None without a listener."""
    try:
        with urllib.request.urlopen(f"{address}/ready", timeout=5) as response:  # noqa: S310 - loopback
            answer = json.loads(response.read())
    except urllib.error.HTTPError as error:  # 503 is an answer
        with error:
            answer = json.loads(error.read())
    except OSError:
        return None
    return {name: answer[name] for name in ("ready", "missing")}


def is_ready(address: str) -> bool:
    return bool(readiness(address) == {"ready": True, "missing": []})


def is_without_partitions(layer: SpeedLayerUnderTest, number: int) -> bool:
    """Return whether the newest assignment of a worker is empty."""
    lines = (layer.folder / f"worker-{number}.log").read_text().splitlines()
    assigned = [line for line in lines if "Setting newly assigned partitions" in line]
    return bool(assigned) and "TopicPartition(" not in assigned[-1]


@pytest.mark.budget(150)
def test_a_worker_without_partitions_is_ready_while_others_read_all(narrow: SpeedLayerUnderTest) -> None:
    layer = narrow
    readers = GroupReaders(kafka_of(layer.settings), layer.topic, layer.settings.consumer_group)
    wait_until(lambda: readers.unread() == frozenset({0}), seconds=30, description="the answer that nobody reads")
    address = with_views(layer)
    layer.start_worker(web=True)
    layer.produce(comments(50))
    layer.wait_accounted(50)
    loser = 0
    # The least of random member ids gets the partition. A worker that has it is to lose it; one that keeps it is
    # replaced by the newcomer, whose id is greater.
    for newcomer in range(1, 12):
        other = with_views(layer)
        layer.start_worker(web=True)
        both = (address, other)
        wait_until(lambda both=both: all(map(is_ready, both)), seconds=60, description="readiness")  # type: ignore[misc]
        if is_without_partitions(layer, loser):
            break
        layer.workers[loser].send_signal(signal.SIGTERM)
        layer.workers[loser].wait(30)
        loser, address = newcomer, other
        wait_until(
            lambda loser=loser: not is_without_partitions(layer, loser),  # type: ignore[misc]
            seconds=30,
            description="the partition",
        )
    assert is_without_partitions(layer, loser)
    assert readers.unread() == frozenset()
    layer.produce(comments(50, start=50))
    layer.wait_accounted(100)
    # Wait for all limits: none of them may end a worker without partitions.
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > UNREAD_SECONDS + 8, seconds=60, description="the limits to pass")
    assert [layer.workers[number].poll() for number in (loser, -1)] == [None, None]
    assert all(map(is_ready, both))
    assert "no worker" not in (layer.folder / f"worker-{loser}.log").read_text()


@pytest.mark.budget(60)
def test_a_worker_whose_group_leaves_partitions_out_is_not_ready_and_names_them(layer: SpeedLayerUnderTest) -> None:
    address = with_views(layer)
    layer.start_worker(("local.chaos.stuck_worker", "no_partitions"), web=True)
    sent, missing = 0, {"ready": False, "missing": ["partitions"]}

    def is_unready() -> bool:
        nonlocal sent
        sent += layer.produce(comments(10, start=sent))
        log = (layer.folder / "worker-0.log").read_text()
        return "stuck: no_partitions" in log and readiness(address) == missing

    wait_until(is_unready, seconds=60, description="the view that says so")
    warning = "no worker of the group reads partition 0, 1, 2, 3 of the topic; this worker has no partition"
    log = layer.folder / "worker-0.log"
    wait_until(lambda: warning in log.read_text(), seconds=20, description="the line of the log")


@pytest.mark.budget(60)
def test_an_idle_worker_whose_topic_was_deleted_stops_and_names_it(narrow: SpeedLayerUnderTest) -> None:
    layer = narrow
    worker = layer.start_worker()
    layer.produce(comments(50))
    layer.wait_accounted(50)
    admin = AdminClient(kafka_of(layer.settings).librdkafka({"log_level": 2}))
    for future in admin.delete_topics([layer.topic]).values():
        future.result(30)
    assert worker.wait(60) == 78
    log = (layer.folder / "worker-0.log").read_text()
    assert "the broker does not know it any more" in log or "deleted and created again" in log, log[-2_000:]
    assert "accept-gap" in log
