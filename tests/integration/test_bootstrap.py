"""``moderation bootstrap`` on real servers: it serves once, repeats, and refuses a system that is not fresh."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from batch.first_model.run import bootstrap
from batch.promotion.history import read_history
from cli.main import app
from local.stack.attention import missing_model
from local.stack.commands import StackInfo
from local.stack.worker import settings_environment
from moderation.adapters.sql.migrate import migrate_database
from moderation.bootstrap import production_model
from moderation.errors import ConfigurationError
from moderation.settings import Settings, required
from stream.worker.model_watch import FIRST_START
from tests.support.model_life import LENIENT, ModelLife, Templates
from tests.support.workers import base_settings


@pytest.fixture
def life(stack: StackInfo, templates: Templates, topic_prefix: str, tmp_path: Path) -> ModelLife:
    """A registered model without versions, and topics that nobody decided."""
    life = ModelLife(base_settings(stack, topic_prefix), tmp_path, templates)
    migrate_database(required(life.settings.database_url, "database_url"))
    return life


def command(settings: Settings, *options: str) -> Result:
    return CliRunner().invoke(app, ["bootstrap", *options], env=settings_environment(settings))


@pytest.mark.budget(30)
def test_the_bootstrap_model_serves_and_a_repetition_changes_nothing(life: ModelLife) -> None:
    assert missing_model(life.settings) == [FIRST_START]
    done = command(life.settings, "--review-share", "0.25", "--reason", "a first start", "--json")
    assert done.exit_code == 0, done.output
    first = json.loads(done.stdout)
    assert {name: first[name] for name in ("version", "is_new", "review_share")} == {
        "version": "1",
        "is_new": True,
        "review_share": 0.25,
    }
    assert life.aliases() == {"production": "1"}
    version = life.registry.version("1")
    assert life.registry.certificate("1").gate.verdict == "bootstrap"
    assert life.registry.is_bootstrap(version)
    assert life.tags(version)["reason"] == "a first start"
    logged = life.registry.run_artifacts.logged(version.run_id)
    assert dict(logged.metrics) == {"comments": 0, "removed": 0}, "nothing was measured"
    assert missing_model(life.settings) == []

    opened = production_model(life.settings).open_version("1")
    assert opened.exploration_key is not None
    assert opened.policy.policy_version == first["policy_version"]

    again = json.loads(command(life.settings, "--review-share", "0", "--json").stdout)
    assert again == {**first, "is_new": False}
    assert len(life.client.search_model_versions(f"name = '{life.name}'")) == 1
    [period] = read_history(life.settings)
    assert (period.version, period.kind, period.reason, period.is_confirmed) == ("1", "first", "a first start", True)
    assert period.requested_from == "moderation bootstrap"


def test_a_system_with_another_production_version_is_refused_by_name(life: ModelLife) -> None:
    life.point("production", life.register(LENIENT))
    with pytest.raises(ConfigurationError, match=rf"{life.name} version 1: it has the alias production"):
        bootstrap(life.settings, review_share=0.05, by="a test", reason="a test", requested_from="a test")
    assert not life.registry.is_bootstrap(life.registry.version("1"))
    assert life.aliases() == {"production": "1"}


def test_a_system_whose_ledger_has_decisions_or_that_has_no_key_is_refused_and_nothing_is_registered(
    life: ModelLife,
) -> None:
    without_key = life.settings.model_copy(update={"exploration_key": None})
    with pytest.raises(ConfigurationError, match="MODERATION_EXPLORATION_KEY: it is not set"):
        bootstrap(without_key, review_share=0.05, by="a test", reason="a test", requested_from="a test")
    topic_id = uuid.uuid4()
    with psycopg.connect(required(life.settings.database_url, "database_url")) as connection:
        connection.execute(
            "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
            "VALUES (%s, 0, %s, 0, 10, 0)",
            (topic_id, f"{life.settings.topic_prefix}comments"),
        )
        connection.execute(
            "INSERT INTO speed.served (topic_id, partition, from_offset, model_version, policy_version, "
            "kernel_version) VALUES (%s, 0, 0, '7', 'p', '1')",
            (topic_id,),
        )
    assert missing_model(life.settings) == [], "workers serve the version that decided last"
    refused = command(life.settings, "--review-share", "0")
    assert isinstance(refused.exception, ConfigurationError)
    assert refused.exception.thing == f"{life.name} version 7"
    assert "start the worker: it serves the version that decided last" in refused.exception.remedy
    assert life.aliases() == {}
    assert life.client.search_model_versions(f"name = '{life.name}'") == []
