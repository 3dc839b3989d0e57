"""Overrides on a real MLflow: a version without certificate serves until a stated end, and never longer."""

from __future__ import annotations

import logging
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from cli.main import app
from local.stack.commands import StackInfo
from local.stack.worker import settings_environment
from moderation.adapters.model_folder.folder import MODEL
from moderation.adapters.override import Override
from moderation.adapters.registry import ModelVersion
from moderation.adapters.registry.certificate import CERTIFICATE_TAG
from moderation.adapters.registry.registry import OVERRIDE_TAG
from moderation.bootstrap import production_model, version_opener
from moderation.errors import ConfigurationError, ModelRefused
from moderation.timestamps import HOUR_US, MINUTE_US, now_us
from tests.support.forged_versions import damage_model
from tests.support.model_life import LENIENT, STRICT, ModelLife, Templates
from tests.support.workers import base_settings


@pytest.fixture
def life(stack: StackInfo, templates: Templates, tmp_path: Path) -> ModelLife:
    return ModelLife(base_settings(stack, ""), tmp_path, templates)


@pytest.fixture
def serving(life: ModelLife) -> ModelVersion:
    """First version, in production."""
    version = life.register(LENIENT)
    life.registry.ensure_alias("production", version)
    return version


def whole_minute(*, hours: int) -> int:
    """Return a time some hours from now, in microseconds."""
    return (now_us() + hours * HOUR_US) // MINUTE_US * MINUTE_US


def test_an_override_lets_an_uncertified_version_serve_and_its_reason_is_logged(
    life: ModelLife, serving: ModelVersion, caplog: pytest.LogCaptureFixture
) -> None:
    version = life.register(STRICT, certified=False)
    life.point("production", version)
    worker = production_model(life.settings)
    number = worker.resolve()
    assert number == "2"
    with pytest.raises(ModelRefused, match="it has no certificate"):
        worker.open_version(number)
    life.registry.tag(version, OVERRIDE_TAG, "   ")
    with pytest.raises(ModelRefused, match="it has no certificate"):
        worker.open_version(number)
    override = Override("the certifier is broken, ticket 7", whole_minute(hours=1))
    life.registry.set_override(version, override)
    with caplog.at_level(logging.WARNING):
        opened = worker.open_version(number)
    assert (opened.policy, opened.override) == (STRICT, override)
    assert f"{version} has no certificate; it is opened by override: {override}" in caplog.text
    assert worker.override_of(number) == override
    with pytest.raises(ModelRefused, match="MODERATION_OVERRIDES is forbidden"):
        production_model(life.settings.model_copy(update={"overrides": "forbidden"})).open_version(number)
    for value, cause in (
        ("ticket 7", "it is not of the form `REASON until 2026-12-01T18:00Z`"),
        (str(Override("ticket 7", whole_minute(hours=-1))), "its override has ended"),
        (str(Override("ticket 7", whole_minute(hours=24 * 8))), "more than 7 days ahead"),
    ):
        life.registry.tag(version, OVERRIDE_TAG, value)
        with pytest.raises(ModelRefused, match=cause):
            worker.open_version(number)
        # What it decided is scored again after the end.
        assert version_opener(life.settings)(number).policy == STRICT
    assert life.registry.end_override(version)
    with pytest.raises(ModelRefused, match="it has no certificate"):
        worker.open_version(number)
    assert version_opener(life.settings)(number).policy == STRICT
    with pytest.raises(ModelRefused, match="it has a certificate"):
        life.registry.set_override(serving, override)


def test_an_override_covers_neither_an_edited_certificate_nor_exchanged_files(
    stack: StackInfo, life: ModelLife, serving: ModelVersion
) -> None:
    worker = production_model(life.settings)
    edited, exchanged = life.register(STRICT), life.register(STRICT, certified=False, own_files=True)
    for version in (edited, exchanged):
        life.registry.tag(version, OVERRIDE_TAG, str(Override("let it serve", whole_minute(hours=1))))
    life.registry.tag(edited, CERTIFICATE_TAG, life.tags(serving)["certificate_2"])
    with pytest.raises(ModelRefused, match="was made for .* and copied here"):
        worker.open_version(edited.version)
    damage_model(stack, life.name, exchanged.version)
    with pytest.raises(ModelRefused, match=f"{MODEL} in the registry is not the one that was registered"):
        worker.open_version(exchanged.version)


def test_the_command_sets_and_removes_an_override(life: ModelLife, monkeypatch: pytest.MonkeyPatch) -> None:
    version = life.register(STRICT, certified=False)
    for key, value in settings_environment(life.settings).items():
        monkeypatch.setenv(key, value)

    def run(*arguments: str) -> dict[str, object]:
        done = CliRunner().invoke(app, ["override", version.version, "--json", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return dict(orjson.loads(done.stdout))

    stated = run("--reason", "ticket  7", "--hours", "6")
    override = life.registry.override_of(version.version)
    assert override is not None
    assert stated == {"version": "1", "reason": "ticket 7", "until_us": override.until_us}
    assert 5 * HOUR_US < override.until_us - now_us() <= 6 * HOUR_US
    assert run("--end") == {"version": "1", "reason": None, "until_us": None}
    assert "override" not in life.tags(version)
    monkeypatch.setenv("MODERATION_OVERRIDES", "forbidden")
    with pytest.raises(ConfigurationError, match="MODERATION_OVERRIDES is forbidden"):
        run("--reason", "ticket 7", "--hours", "6")
    assert "override" not in life.tags(version)
