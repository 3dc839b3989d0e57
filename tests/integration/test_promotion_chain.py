"""Gate, certificate and promotion on real MLflow and PostgreSQL: what the gate did not let pass is not promoted."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import orjson
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from typer.testing import CliRunner

from batch.promotion.history import verify_records
from batch.promotion.proposal import propose
from batch.promotion.run import promote, roll_back
from batch.promotion.tasks import show
from cli.main import app
from local.stack.commands import StackInfo
from local.stack.worker import settings_environment, without_private_keys
from moderation.adapters.override import Override
from moderation.adapters.registry import GateEvidence, ModelVersion
from moderation.adapters.registry.registry import OVERRIDE_TAG
from moderation.adapters.sql.migrate import migrate, migrate_database
from moderation.bootstrap import register
from moderation.errors import ConfigurationError, GateStopped, ModelRefused, PromotionRefused
from moderation.scoring import ModerationPipeline
from moderation.settings import required
from moderation.timestamps import HOUR_US, MINUTE_US, now_us
from tests.support.database_urls import altered_url
from tests.support.labelled import History
from tests.support.model_folders import make_folder
from tests.support.model_life import LENIENT, STRICT, ModelLife, Templates
from tests.support.workers import base_settings


class Word(TypedDict):
    by: str
    reason: str


WORD: Word = {"by": "an operator", "reason": "fewer reviews"}


@pytest.fixture
def life(stack: StackInfo, templates: Templates, tmp_path: Path) -> ModelLife:
    """A model with a topic of its own."""
    settings = base_settings(stack, f"test-{uuid.uuid4().hex[:12]}-")
    migrate_database(required(settings.database_url, "database_url"))
    return ModelLife(settings, tmp_path, templates)


@pytest.fixture
def serving(life: ModelLife) -> ModelVersion:
    version = life.register(LENIENT, verdict="first version")
    promote(life.settings, version.version, by="an operator", reason="the first")
    return version


@pytest.fixture
def database(life: ModelLife) -> Iterator[psycopg.Connection]:
    with psycopg.connect(required(life.settings.database_url, "database_url"), autocommit=True) as connection:
        yield connection


def refused(life: ModelLife, version: ModelVersion, cause: str) -> None:
    """Check that command and DAG refuse a version and move no alias."""
    before = life.aliases()
    with pytest.raises(PromotionRefused, match=cause):
        promote(life.settings, version.version, **WORD)
    shown = propose(life.settings, version.version)
    assert shown.refusal is not None
    assert shown.text.startswith("## Refused")
    assert life.aliases() == before


def test_versions_that_the_gate_did_not_let_pass_are_refused(
    life: ModelLife, serving: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    unjudged = life.register(STRICT, certified=False)
    refused(life, unjudged, "the gate has not judged it.* Judge it with `moderation gate 2`")
    for key, value in settings_environment(life.settings).items():
        monkeypatch.setenv(key, value)
    with pytest.raises(PromotionRefused, match="the gate has not judged it"):  # nobody is asked for an approval
        show({"version": unjudged.version, "reason": "try it"}, "ann")
    life.registry.note_gate(unjudged, "stopped", ["its AUC is lower"])
    refused(life, unjudged, "stopped it: its AUC is lower. Retrain")
    passed = life.register(STRICT)
    life.registry.note_gate(passed, "passed", [])
    life.registry.note_gate(passed, "too few comments", ["too few comments: 400 of 9,000"])
    refused(life, passed, "had too few comments: too few comments: 400 of 9,000")
    life.registry.note_gate(passed, "passed", [])
    assert promote(life.settings, passed.version, **WORD).version == "3"


def test_an_overridden_version_is_refused(life: ModelLife, serving: ModelVersion) -> None:
    version = life.register(STRICT, certified=False)
    life.registry.set_override(version, Override("ticket 7", (now_us() + HOUR_US) // MINUTE_US * MINUTE_US))
    life.point("production", version)
    third = life.register(STRICT, certified=False)
    life.registry.tag(third, OVERRIDE_TAG, life.tags(version)["override"])
    refused(life, third, "it serves by override only, and the gate has not judged it")
    # What serves by override is a version that serves: a first version needs the gate.
    refused(life, life.register(LENIENT, verdict="first version"), "the gate has not compared it with what serves")


def test_a_first_version_is_promoted_only_while_no_trained_version_serves_or_if_it_served(
    life: ModelLife, pipeline: ModerationPipeline, tmp_path: Path
) -> None:
    bootstrap = life.register(LENIENT, verdict="bootstrap")
    first, second = (life.register(STRICT, verdict="first version") for _ in range(2))
    third = life.register(LENIENT)
    promote(life.settings, bootstrap.version, **WORD)
    folder = make_folder(tmp_path / "model", pipeline, LENIENT)
    assert register(folder, life.settings, "start") == ("5", False, True)
    assert promote(life.settings, first.version, **WORD).version == first.version
    assert register(folder, life.settings, "start") == ("6", False, False)
    refused(life, second, "verdict first version: the gate has not compared it")
    promote(life.settings, third.version, **WORD)
    assert promote(life.settings, first.version, by="an operator", reason="it served").version == first.version


def test_a_defect_after_the_gate_closes_promotions_but_no_rollback(life: ModelLife, serving: ModelVersion) -> None:
    second, third = life.register(STRICT), life.register(LENIENT)
    promote(life.settings, second.version, **WORD)
    nights = History(life.settings, {})
    nights.reconcile(lost=3)
    refused(life, third, r"defects \(2026-01-02: 3\). Find their cause with `moderation reconcile`")
    assert roll_back(life.settings, by="an operator", reason="too strict").version == "1"
    nights.reconcile()
    assert promote(life.settings, third.version, **WORD).version == third.version
    nights.reconcile(lost=1, age_hours=72)
    assert promote(life.settings, second.version, **WORD).version == second.version


def test_a_gate_report_that_is_not_the_certified_one_is_refused(life: ModelLife, serving: ModelVersion) -> None:
    version, content = life.register(STRICT, own_files=True), b'{"figures": {}}'
    evidence = GateEvidence("passed", {}, hashlib.sha256(content).hexdigest(), 1)
    life.registry.certify(version, life.lexicon, life.settings.model_max_bytes, gate=evidence)
    refused(life, version, "gate.json of its run is not the report that its certificate names")
    life.registry.run_artifacts.attach(version.run_id, {"gate.json": content + b" "})
    refused(life, version, "gate.json of its run is not the report that its certificate names")
    life.registry.run_artifacts.attach(version.run_id, {"gate.json": content})
    assert promote(life.settings, version.version, **WORD).version == "2"


def test_a_first_version_is_judged_by_its_measurements_and_a_later_one_needs_the_gate(
    life: ModelLife, pipeline: ModerationPipeline, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "model", pipeline, LENIENT)
    chance = tmp_path / "chance"
    make_folder(chance, pipeline, LENIENT, auc=0.52)
    with pytest.raises(GateStopped, match="neither certified nor given an alias: its AUC of 0.520") as stopped:
        register(chance, life.settings, "start")
    assert stopped.value.thing == f"{life.name} version 1"
    assert life.aliases() == {}
    assert life.tags(life.registry.version("1"))["gate"] == "failed"
    with pytest.raises(ModelRefused, match="it has no certificate"):
        life.registry.certificate("1")
    assert register(folder, life.settings, "start") == ("2", True, True)
    gate = life.registry.certificate("2").gate
    report = life.registry.run_artifacts.read(life.registry.version("2").run_id, "gate.json")
    assert (gate.verdict, gate.evidence_digest) == ("first version", hashlib.sha256(report).hexdigest())
    assert orjson.loads(report)["limits"] == gate.limits == {"auc": 0.5, "least_of_class": 20, "confidence": 0.95}
    assert register(folder, life.settings, "again") == ("3", False, False)
    with pytest.raises(ModelRefused, match="it has no certificate"):
        life.registry.certificate("3")
    refused(life, life.registry.version("3"), "Judge it with `moderation gate 3`")


def test_edited_and_removed_records_of_promotions_are_named(
    life: ModelLife, serving: ModelVersion, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = life.register(STRICT)
    promote(life.settings, second.version, **WORD)
    roll_back(life.settings, by="an operator", reason="too strict")
    assert [(each.version, each.state) for each in verify_records(life.settings)] == [
        ("1", "signed"),
        ("2", "signed"),
        ("1", "signed"),
    ]
    tag = orjson.loads(life.tags(second)["promotion"])
    record = orjson.loads(tag["record"])
    assert (record["version"], record["replaced"], record["card_digest"]) == ("2", "1", second.card_digest)
    certificate = life.tags(second)["certificate_2"]
    assert record["certificate_digest"] == hashlib.sha256(certificate.encode()).hexdigest()

    for key, value in settings_environment(life.settings).items():
        monkeypatch.setenv(key, value)

    def verified(exit_code: int) -> dict[str, int]:
        done = CliRunner().invoke(app, ["history", "--verify", "--json"])
        assert done.exit_code == exit_code, done.output
        return {name: count for name, count in orjson.loads(done.stdout).items() if name != "records"}

    assert verified(0) == {"signed": 3, "not_signed": 0, "edited": 0, "missing": 0}
    database.execute(
        "UPDATE batch.promotions SET reason = 'forged' WHERE model_name = %s AND version = '2'", (life.name,)
    )
    assert verified(1) == {"signed": 2, "not_signed": 0, "edited": 1, "missing": 0}
    shown = CliRunner().invoke(app, ["history", "--verify"]).stdout
    assert "version 2, requested" in shown
    assert "edited: the row differs from its signed text in reason" in shown
    database.execute("DELETE FROM batch.promotions WHERE model_name = %s AND version = '2'", (life.name,))
    assert verified(1) == {"signed": 2, "not_signed": 0, "edited": 0, "missing": 2}


def test_without_a_signing_key_nothing_is_promoted_and_a_rollback_is_not_signed(
    life: ModelLife, serving: ModelVersion
) -> None:
    promote(life.settings, life.register(STRICT).version, **WORD)
    third, public = life.register(LENIENT), without_private_keys(life.settings)
    with pytest.raises(ConfigurationError, match="this program verifies certificates and cannot sign"):
        promote(public, third.version, **WORD)
    assert life.aliases()["production"] == "2"
    assert roll_back(public, by="an operator", reason="too strict").version == "1"
    assert [each.state for each in verify_records(life.settings)] == ["signed", "signed", "not signed"]


def test_records_from_before_signatures_are_kept_and_not_signed(stack: StackInfo) -> None:
    name = f"migrated_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(stack.database_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        own = altered_url(stack.database_url(), database=name)
        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(own), poolclass=NullPool)
        try:
            migrate(engine, upto="0016")
            with psycopg.connect(own) as before:
                before.execute(
                    "INSERT INTO batch.promotions (request_id, topic, model_name, version, kind, requested_by, reason, "
                    "gate, gate_reasons, model_digest, requested_from, requested_us, moved_us) "
                    "VALUES ('1', 't', 'm', '1', 'first', 'a', 'r', 'not judged', '', 'd', 'x', 1, 2)"
                )
            assert migrate(engine) >= "0017"
            with psycopg.connect(own) as after:
                rows = after.execute(
                    "SELECT version, kind, override, is_confirmed FROM serving.model_history"
                ).fetchall()
                unsigned = after.execute("SELECT record, key_id, signature FROM batch.promotions").fetchall()
            assert rows == [("1", "first", None, True)]
            assert unsigned == [(None, None, None)]
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
