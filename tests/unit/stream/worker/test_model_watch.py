from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from local.stack.wait import wait_until
from moderation.errors import ModelRefused
from moderation.policy import Policy
from moderation.scoring import Kernel
from stream.worker.model_watch import ModelWatch
from tests.support.fakes import MemoryRegistry


@pytest.fixture
def registry(kernel: Kernel) -> MemoryRegistry:
    return MemoryRegistry(kernel, Policy(1, 2, ()))


@pytest.fixture
def watch(registry: MemoryRegistry) -> Iterator[ModelWatch]:
    watch = ModelWatch(registry.resolve, registry.open_version, poll_seconds=0.01)
    yield watch
    watch.stop()


def serves(watch: ModelWatch, version: str) -> bool:
    return watch.model.model_version == version


def test_it_waits_for_a_first_model_through_an_absent_alias_and_an_absent_registry(
    registry: MemoryRegistry, watch: ModelWatch
) -> None:
    registry.away = True
    started = threading.Thread(target=watch.start)
    started.start()
    assert registry.asked.acquire(timeout=10)
    registry.away = False
    for _ in range(3):
        assert registry.asked.acquire(timeout=10)
    assert started.is_alive()
    registry.alias = "7"
    started.join(10)
    assert serves(watch, "7")


def test_a_moved_alias_swaps_the_model(registry: MemoryRegistry, watch: ModelWatch) -> None:
    registry.alias = "1"
    watch.start()
    before = watch.model
    registry.alias = "2"
    wait_until(lambda: serves(watch, "2"), seconds=10, description="version 2 serves")
    assert before.model_version == "1"


def test_a_refused_version_leaves_the_old_one_serving_and_a_later_one_serves(
    registry: MemoryRegistry, watch: ModelWatch, caplog: pytest.LogCaptureFixture
) -> None:
    registry.alias = "1"
    watch.start()
    registry.refused.add("2")
    registry.alias = "2"
    wait_until(lambda: "refused" in caplog.text, seconds=10, description="the refusal is loud")
    assert serves(watch, "1")
    registry.alias = "3"
    wait_until(lambda: serves(watch, "3"), seconds=10, description="version 3 serves")


def test_a_refused_version_is_checked_again_later(registry: MemoryRegistry) -> None:
    registry.alias = "1"
    watch = ModelWatch(registry.resolve, registry.open_version, poll_seconds=0.01, again_seconds=0.05)
    watch.start()
    registry.refused.add("2")
    registry.alias = "2"
    for _ in range(4):
        assert registry.asked.acquire(timeout=10)
    assert serves(watch, "1")
    registry.refused.clear()
    wait_until(lambda: serves(watch, "2"), seconds=10, description="version 2 serves after all")
    watch.stop()


def test_an_unavailable_registry_changes_nothing(registry: MemoryRegistry, watch: ModelWatch) -> None:
    registry.alias = "1"
    watch.start()
    registry.away = True
    for _ in range(4):
        assert registry.asked.acquire(timeout=10)
    assert serves(watch, "1")


def test_a_refused_version_without_a_last_good_model_stops_the_start(
    registry: MemoryRegistry, watch: ModelWatch
) -> None:
    registry.alias = "1"
    registry.refused.add("1")
    with pytest.raises(ModelRefused, match="certificate"):
        watch.start()
