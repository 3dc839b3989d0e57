"""Contract of the registry, for the fake in memory and the one on MLflow."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from moderation.errors import ModelRefused, RegistryUnavailable
from moderation.scoring import Kernel
from stream.worker.messages import ServingModel
from tests.support.fakes import MemoryRegistry


@dataclass(frozen=True, slots=True)
class RegistryUnderTest:
    """A registry as a worker uses it, and actions of operators.

    Attributes:
        resolve: the version with the alias ``production``, None without one.
        open_version: opens a version.
        register: makes another version, certified or not; its number.
        promote: gives a version the alias.
        go_away: from now on nobody answers.
    """

    resolve: Callable[[], str | None]
    open_version: Callable[[str], ServingModel]
    register: Callable[[bool], str]
    promote: Callable[[str], None]
    go_away: Callable[[], None]


@pytest.fixture(params=["memory", "mlflow"])
def registry(request: pytest.FixtureRequest, kernel: Kernel, tmp_path: Path) -> RegistryUnderTest:
    return in_memory(kernel) if request.param == "memory" else on_mlflow(request, tmp_path)


def in_memory(kernel: Kernel) -> RegistryUnderTest:
    from tests.support.model_life import LENIENT

    memory, numbers = MemoryRegistry(kernel, LENIENT), itertools.count(1)

    def register(certified: bool) -> str:
        number = str(next(numbers))
        if not certified:
            memory.refused.add(number)
        return number

    def promote(number: str) -> None:
        memory.alias = number

    def go_away() -> None:
        memory.away = True

    return RegistryUnderTest(memory.resolve, memory.open_version, register, promote, go_away)


def on_mlflow(request: pytest.FixtureRequest, folder: Path) -> RegistryUnderTest:
    from moderation.bootstrap import production_model
    from tests.support.model_life import LENIENT, ModelLife
    from tests.support.workers import base_settings

    life = ModelLife(base_settings(request.getfixturevalue("stack"), ""), folder, request.getfixturevalue("templates"))
    production = [production_model(life.settings)]
    versions = {}

    def open_version(number: str) -> ServingModel:
        opened = production[0].open_version(number)
        return ServingModel(opened.kernel, opened.policy, number)

    def register(certified: bool) -> str:
        version = life.register(LENIENT, certified=certified)
        versions[version.version] = version
        return version.version

    def go_away() -> None:
        production[0] = production_model(life.settings.model_copy(update={"mlflow_url": "http://127.0.0.1:1"}))

    return RegistryUnderTest(
        lambda: production[0].resolve(),
        open_version,
        register,
        lambda number: life.point("production", versions[number]),
        go_away,
    )


def test_an_unset_alias_has_no_version(registry: RegistryUnderTest) -> None:
    registry.register(True)
    assert registry.resolve() is None


def test_the_alias_names_the_version_that_was_promoted_last_and_it_opens(
    registry: RegistryUnderTest, kernel: Kernel
) -> None:
    first, second = registry.register(True), registry.register(True)
    assert (first, second) == ("1", "2")
    for number in (first, second, first):
        registry.promote(number)
        assert registry.resolve() == number
    opened = registry.open_version(second)
    assert opened.model_version == second
    texts = ["Nice study, thanks.", "you idiot!!!", ""]
    assert opened.kernel.score_many(texts).tolist() == kernel.score_many(texts).tolist()


def test_an_uncertified_version_is_refused_even_with_the_alias(registry: RegistryUnderTest) -> None:
    number = registry.register(False)
    registry.promote(number)
    assert registry.resolve() == number
    with pytest.raises(ModelRefused, match=f"version {number}"):
        registry.open_version(number)


def test_an_absent_registry_raises_registry_unavailable(registry: RegistryUnderTest) -> None:
    registry.promote(registry.register(True))
    registry.go_away()
    with pytest.raises(RegistryUnavailable):
        registry.resolve()
