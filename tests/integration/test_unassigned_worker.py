"""Workers without partitions: healthy where others read all of them, else ended by name.

Adds to test_stuck_worker, which has a group whose assignment leaves all partitions out.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from local.ports import any_free_port
from local.stack import StackInfo
from local.waiting import wait_until
from moderation.adapters.group_readers import GroupReaders
from moderation.adapters.topics import TOPICS, ensure_topics, with_partitions
from stream.watchdog import UNREAD_SECONDS
from tests.support.workers import SpeedLayerUnderTest, base_settings, comments, speed_layer

pytestmark = pytest.mark.long


@pytest.fixture
def narrow(stack: StackInfo, model: Path, topic_prefix: str, tmp_path: Path) -> Iterator[SpeedLayerUnderTest]:
    """A speed layer whose topics have one partition."""
    ensure_topics(stack.kafka_bootstrap, with_partitions(TOPICS, 1), prefix=topic_prefix)
    with speed_layer(base_settings(stack, topic_prefix), tmp_path) as layer:
        yield layer


def with_views(layer: SpeedLayerUnderTest) -> str:
    """Give the next worker a port of its own; returns the address of its views."""
    layer.settings = layer.settings.model_copy(update={"worker_web_port": any_free_port()})
    return f"http://127.0.0.1:{layer.settings.worker_web_port}"


def is_ready(address: str) -> bool:
    """Whether the view answers with 200."""
    try:
        with urllib.request.urlopen(f"{address}/ready", timeout=5) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.budget(90)
def test_a_worker_more_than_partitions_is_ready_and_stays(narrow: SpeedLayerUnderTest) -> None:
    layer = narrow
    readers = GroupReaders(layer.settings.kafka_bootstrap, layer.topic, layer.settings.consumer_group)
    wait_until(
        lambda: readers.unread() == frozenset({0}), seconds=30, description="the answer that no group exists yet"
    )
    addresses = []
    for _ in range(2):
        addresses.append(with_views(layer))
        layer.start_worker(web=True)
    wait_until(lambda: all(map(is_ready, addresses)), seconds=60, description="readiness of both")
    assert readers.unread() == frozenset()
    layer.produce(comments(50))
    layer.wait_accounted(50)
    # The limit must pass: this is what a worker without partitions is not to be ended for.
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > UNREAD_SECONDS + 8, seconds=60, description="the limit to pass")
    assert [worker.poll() for worker in layer.workers] == [None, None]
    assert all(map(is_ready, addresses))
    logs = [(layer.folder / f"worker-{number}.log").read_text() for number in range(2)]
    assert sum("Resuming streams with empty assignment" in log for log in logs) == 1
    assert not any("has no partition, and" in log for log in logs)


@pytest.mark.budget(60)
def test_an_idle_worker_whose_topic_was_deleted_stops_and_names_it(narrow: SpeedLayerUnderTest) -> None:
    layer = narrow
    worker = layer.start_worker()
    layer.produce(comments(50))
    layer.wait_accounted(50)
    admin = AdminClient({"bootstrap.servers": layer.settings.kafka_bootstrap, "log_level": 2})
    for future in admin.delete_topics([layer.topic]).values():
        future.result(30)
    assert worker.wait(60) == 78
    log = (layer.folder / "worker-0.log").read_text()
    assert "the broker does not know it any more" in log or "deleted and created again" in log, log[-2_000:]
    assert "accept-gap" in log
