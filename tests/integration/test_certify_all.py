"""`moderation certify --all` on a real MLflow: certificates of a former release become format 2, and others stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from cli.main import app
from local.stack.commands import StackInfo
from local.stack.worker import settings_environment, without_private_keys
from moderation.adapters.registry import ModelVersion, Registry, certificate_1
from moderation.adapters.registry.certificate import CERTIFICATE_TAG, FACTS, PREFIX, ModelFacts
from moderation.adapters.registry.keys import CertificateKeys, SigningKey, encode
from moderation.bootstrap import production_model, registry
from moderation.errors import ConfigurationError, ModelRefused
from moderation.settings import required
from tests.support.certificates import format_1_tags
from tests.support.model_folders import GATE
from tests.support.model_life import LENIENT, STRICT, ModelLife, Templates
from tests.support.workers import base_settings

OLD_KEY = "the key that batch layer and workers shared"


@pytest.fixture
def life(stack: StackInfo, templates: Templates, tmp_path: Path) -> ModelLife:
    settings = base_settings(stack, "").model_copy(update={"certificate_key": SecretStr(OLD_KEY)})
    return ModelLife(settings, tmp_path, templates)


def certify_as_format_1(life: ModelLife, version: ModelVersion, key: str = OLD_KEY) -> None:
    """Certify as releases before format 2 did."""
    stated = {name: life.tags(version).get(name, "") for name in FACTS}
    facts = ModelFacts(**{**stated, "model_name": life.name, "version": version.version})
    for name, value in format_1_tags(facts, key.encode()).items():
        life.registry.tag(version, name, value)


def test_certificates_of_a_former_release_are_signed_anew_and_production_serves_on(
    life: ModelLife, monkeypatch: pytest.MonkeyPatch
) -> None:
    production, uncertified, foreign, edited, _ = (life.register(LENIENT, certified=number == 4) for number in range(5))
    certify_as_format_1(life, production)
    certify_as_format_1(life, foreign, "another key, also of at least 32 bytes")
    certify_as_format_1(life, edited)
    life.registry.tag(edited, PREFIX + "model_digest", "0" * 64)
    life.point("production", production)
    worker = production_model(without_private_keys(life.settings))
    with pytest.raises(ModelRefused, match="has format 1.*Run `moderation certify --all` in the batch layer"):
        worker.open_version(production.version)

    for key, value in settings_environment(life.settings).items():
        monkeypatch.setenv(key, value)
    refusing = CliRunner().invoke(app, ["certify", "--all", "--json"])
    status, report = refusing.exit_code, json.loads(refusing.stdout)
    states = {each["version"]: each["state"] for each in report["versions"]}
    assert states == {"1": "signed", "3": "refused", "4": "refused", "5": "current"}
    assert (status, report["signed"], report["current"], report["refused"]) == (1, 1, 1, 2)
    causes = {each["version"]: each["cause"] for each in report["versions"]}
    assert "made with another key" in causes["3"]
    assert "tag moderation.model_digest was edited" in causes["4"]

    assert worker.open_version(production.version).policy == LENIENT
    certificate = life.registry.certificate(production.version)
    assert certificate.gate.verdict == life.tags(production)["gate_verdict"] == "judged before gates were signed"
    assert life.tags(production)["signature"], "workers of the former release still open it"
    for version in (uncertified, foreign, edited):
        assert "certificate_2" not in life.tags(version)

    assert CliRunner().invoke(app, ["certify", "--all", "--allow-refused"]).exit_code == 0
    again = {each.version: each.state for each in life.registry.certify_all()}
    assert again == {"1": "current", "3": "refused", "4": "refused", "5": "current"}


def test_without_the_former_key_the_versions_are_listed_with_what_is_missing(life: ModelLife) -> None:
    version = life.register(LENIENT, certified=False)
    certify_as_format_1(life, version)
    settings = life.settings.model_copy(update={"certificate_key": None})
    (result,) = registry(settings).certify_all()
    assert result.state == "refused"
    assert "MODERATION_CERTIFICATE_KEY, which verifies it, is not set" in result.cause
    assert certificate_1.CERTIFICATE_TAG.removeprefix(PREFIX) in life.tags(version)


def test_a_key_is_replaced_without_a_moment_in_which_production_does_not_verify(life: ModelLife) -> None:
    version = life.register(STRICT)
    life.point("production", version)
    old = SigningKey.parse(required(life.settings.signing_key, "signing_key"))
    new = SigningKey.generate()
    before, both, after = (
        Registry(life.settings.mlflow_url, life.name, CertificateKeys.parse(signing=signing, verify=ring))
        for signing, ring in (
            (old.seed(), encode(old.public)),
            (new.seed(), f"{encode(old.public)},{encode(new.public)}"),
            (new.seed(), encode(new.public)),
        )
    )
    with pytest.raises(ModelRefused, match="made with another key"):
        after.certificate(version.version)
    assert [each.state for each in both.certify_all()] == ["signed"]
    assert both.certificate(version.version) == after.certificate(version.version)
    assert [each.state for each in after.certify_all()] == ["current"]
    with pytest.raises(ModelRefused, match=f"made with another key .{new.key_id}"):
        before.certificate(version.version)
    assert json.loads(life.tags(version)[CERTIFICATE_TAG.removeprefix(PREFIX)])["key_id"] == new.key_id


def test_a_program_with_public_keys_only_opens_and_cannot_certify(life: ModelLife) -> None:
    version = life.register(LENIENT)
    settings = without_private_keys(life.settings)
    assert production_model(settings).open_version(version.version).policy == LENIENT
    with pytest.raises(ConfigurationError, match="MODERATION_SIGNING_KEY: it is not set"):
        registry(settings).certify(version, life.lexicon, settings.model_max_bytes, gate=GATE)
    with pytest.raises(ConfigurationError, match="MODERATION_SIGNING_KEY: it is not set"):
        registry(settings).certify_all()
