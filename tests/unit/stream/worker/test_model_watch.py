from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.stack.wait import wait_until
from moderation.adapters.override import Override
from moderation.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    ModelRefused,
    ModerationError,
    NeedsPerson,
    RegistryRefused,
    RegistryUnavailable,
)
from moderation.policy import Policy
from moderation.scoring import Kernel
from stream.worker import metrics
from stream.worker.messages import ServingModel
from stream.worker.metrics import RegistryState
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


@pytest.mark.parametrize(
    ("is_away", "told"),
    [(False, "`moderation bootstrap`, or DAG bootstrap_model"), (True, "waiting for the registry to name a model")],
)
def test_a_start_without_a_version_names_the_next_step(
    registry: MemoryRegistry, watch: ModelWatch, caplog: pytest.LogCaptureFixture, is_away: bool, told: str
) -> None:
    registry.away = is_away
    started = threading.Thread(target=watch.start)
    started.start()
    polls(registry)
    assert caplog.text.count("waiting") == caplog.text.count(told) == 1
    registry.away, registry.alias = False, "1"
    started.join(10)
    assert serves(watch, "1")


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


REFUSALS = (
    ConfigurationError("registry, account worker", "its password is wrong"),
    RegistryRefused("registry, account worker", "it may not do this"),
)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: type(error).__name__)
def test_a_refused_account_without_a_last_good_model_stops_the_start(
    registry: MemoryRegistry, watch: ModelWatch, refusal: ModerationError
) -> None:
    registry.refusal = refusal
    with pytest.raises(NeedsPerson, match="account worker"):
        watch.start()


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: type(error).__name__)
def test_a_refused_account_leaves_the_model_serving(
    registry: MemoryRegistry, watch: ModelWatch, refusal: ModerationError, caplog: pytest.LogCaptureFixture
) -> None:
    registry.alias = "1"
    watch.start()
    registry.refusal = refusal
    wait_until(lambda: shown_state() == [RegistryState.NO_ANSWER], seconds=10, description="the refusal is shown")
    polls(registry, 4)
    assert serves(watch, "1")
    assert caplog.text.count("account worker") == 1
    registry.refusal, registry.alias = None, "2"
    wait_until(lambda: serves(watch, "2"), seconds=10, description="the alias is followed again")


def test_a_refused_account_lets_the_start_take_the_model_that_served_before(registry: MemoryRegistry) -> None:
    registry.refusal = REFUSALS[0]
    watch = ModelWatch(registry.resolve, registry.open_version, 0.01, lambda: registry.open_version("1"))
    watch.start()
    watch.stop()
    assert serves(watch, "1")


def shown_state() -> list[str]:
    samples = next(iter(metrics.REGISTRY_STATE.collect())).samples
    return [sample.labels["state"] for sample in samples if sample.value]


def polls(registry: MemoryRegistry, count: int = 4) -> None:
    for _ in range(count):
        assert registry.asked.acquire(timeout=10)


@pytest.mark.parametrize("state", [RegistryState.NO_ALIAS, RegistryState.NO_VERSION, RegistryState.NO_ANSWER])
def test_a_registry_state_is_told_once_shown_in_the_metric_and_left_by_itself(
    registry: MemoryRegistry, watch: ModelWatch, caplog: pytest.LogCaptureFixture, state: RegistryState
) -> None:
    registry.alias = "1"
    watch.start()
    if state is RegistryState.NO_ALIAS:
        registry.alias = None
    elif state is RegistryState.NO_VERSION:
        registry.deleted.add("2")
        registry.alias = "2"
    else:
        registry.away = True
    wait_until(lambda: watch.registry_state is state, seconds=10, description=f"the state is {state}")
    polls(registry, 8)
    assert serves(watch, "1")
    assert shown_state() == [state]
    assert caplog.text.count("version 1 continues to serve") == 1
    registry.away, registry.alias = False, "3"
    wait_until(lambda: serves(watch, "3"), seconds=10, description="the alias is followed again")
    wait_until(lambda: shown_state() == [RegistryState.FOLLOWED], seconds=10, description="the metric recovers")


def test_a_refused_version_is_shown_in_the_metric(registry: MemoryRegistry, watch: ModelWatch) -> None:
    registry.alias = "1"
    watch.start()
    registry.refused.add("2")
    registry.alias = "2"
    wait_until(lambda: shown_state() == [RegistryState.REFUSED], seconds=10, description="the refusal is shown")
    assert serves(watch, "1")


def test_a_deleted_version_does_not_end_a_start_which_waits_and_says_so_once(
    registry: MemoryRegistry, watch: ModelWatch, caplog: pytest.LogCaptureFixture
) -> None:
    registry.deleted.add("1")
    registry.alias = "1"
    started = threading.Thread(target=watch.start)
    started.start()
    polls(registry)
    assert started.is_alive()
    assert caplog.text.count("the registry has no such thing") == 1
    registry.alias = "2"
    started.join(10)
    assert serves(watch, "2")


def test_without_the_alias_the_start_takes_the_model_that_served_before_and_tells_errors_once(
    registry: MemoryRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[ModelRefused | DatabaseUnavailable | str] = [
        DatabaseUnavailable("PostgreSQL", "no answer"),
        DatabaseUnavailable("PostgreSQL", "no answer"),
        "7",
    ]

    def first() -> ServingModel | None:
        answer = answers.pop(0)
        if not isinstance(answer, str):
            raise answer
        return registry.open_version(answer)

    watch = ModelWatch(registry.resolve, registry.open_version, 0.01, first)
    watch.start()
    watch.stop()
    assert serves(watch, "7")
    assert caplog.text.count("PostgreSQL: no answer") == 1
    assert "continuing with version 7, which served before" in caplog.text


def test_each_version_that_serves_is_stored_once_and_again_after_an_error(
    registry: MemoryRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    kept: list[str] = []

    def keep(version: str) -> None:
        kept.append(version)
        if len(kept) == 1:
            raise DatabaseUnavailable("PostgreSQL", "no answer")

    registry.alias = "1"
    watch = ModelWatch(registry.resolve, registry.open_version, 0.01, again_seconds=0.05, keep=keep)
    watch.start()
    wait_until(lambda: kept == ["1", "1"], seconds=10, description="version 1 is stored after an error")
    registry.alias = "2"
    wait_until(lambda: kept == ["1", "1", "2"], seconds=10, description="version 2 is stored")
    polls(registry)
    watch.stop()
    assert kept == ["1", "1", "2"]
    assert "version 1 is not stored for workers without the registry" in caplog.text


class Overridden:
    """A version that serves by override, over a clock that the test moves."""

    def __init__(self, registry: MemoryRegistry, certified: str | None) -> None:
        self.now_us = 0
        self.override: Override | None = Override("ticket 7", 1_000)
        self.is_refused = self.is_away = False
        self._registry = registry
        self._certified = certified
        registry.alias = "2"
        self.watch = ModelWatch(
            registry.resolve,
            self._open,
            3_600,
            self._first,
            again_seconds=0.0,
            override_of=self._override_of,
            clock=lambda: self.now_us,
        )
        self.watch.start()
        self.watch.stop()

    def _open(self, version: str) -> ServingModel:
        if self.is_refused:
            raise ModelRefused(f"version {version}", "its override has ended")
        return replace(self._registry.open_version(version), override=self.override)

    def _first(self) -> ServingModel | None:
        return None if self._certified is None else self._registry.open_version(self._certified)

    def _override_of(self, version: str) -> Override | None:
        if self.is_away:
            raise RegistryUnavailable("registry", "it is away")
        if self.is_refused:
            raise ModelRefused(f"version {version}", "its override has ended")
        return self.override

    def look(self) -> tuple[str, bool, float]:
        """Return version, whether its override is over, and the metric after a look at the override."""
        self.watch._check_override()
        model = self.watch.model
        shown = next(iter(metrics.SERVING_OVERRIDE.collect())).samples[0].value
        return model.model_version, model.is_override_over, shown


def test_an_override_in_effect_is_shown_and_part_of_what_the_ledger_stores(registry: MemoryRegistry) -> None:
    world = Overridden(registry, certified="1")
    assert world.look() == ("2", False, 1)
    assert world.watch.model.versions.override == "ticket 7 until 1970-01-01T00:00Z"


@pytest.mark.parametrize("is_away", [False, True])
def test_at_the_end_of_an_override_the_last_certified_version_serves(
    registry: MemoryRegistry, caplog: pytest.LogCaptureFixture, is_away: bool
) -> None:
    world = Overridden(registry, certified="1")
    world.is_away, world.is_refused, world.now_us = is_away, True, 999
    if is_away:
        assert world.look() == ("2", False, 1), "the end is not reached"
    world.now_us = 1_000
    assert world.look() == ("1", False, 0)
    assert world.watch.registry_state is RegistryState.REFUSED
    assert "version 2 serves no longer by override" in caplog.text


def test_an_override_that_was_removed_ends_before_its_time(registry: MemoryRegistry) -> None:
    world = Overridden(registry, certified="1")
    world.is_refused = True
    assert world.look() == ("1", False, 0)


def test_without_a_certified_version_it_serves_on_and_says_so_once(
    registry: MemoryRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    world = Overridden(registry, certified=None)
    world.is_refused, world.now_us = True, 1_000
    for _ in range(3):
        assert world.look() == ("2", True, 2)
    assert caplog.text.count("serves on, because no certified version can be opened") == 1
    world.is_refused, world.override = False, Override("ticket 8", 5_000)
    assert world.look() == ("2", False, 1), "the override was extended"


def test_a_version_that_was_certified_meanwhile_serves_without_override(registry: MemoryRegistry) -> None:
    world = Overridden(registry, certified="1")
    world.override = None
    assert world.look() == ("2", False, 0)
    assert world.watch.model.versions.override is None
