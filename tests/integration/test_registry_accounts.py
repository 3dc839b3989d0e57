"""Accounts of the real MLflow server: each forbidden act is refused, and a worker opens the model it serves."""

from __future__ import annotations

import urllib.parse
from pathlib import Path

import pytest
from mlflow import MlflowClient

from local.stack import mlflow_accounts
from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from local.stack.worker import worker_settings
from moderation.adapters.registry.download import FOLDER
from moderation.bootstrap import production_model, registry
from moderation.errors import ConfigurationError, NeedsPerson, RegistryRefused
from moderation.settings import Settings, secret_text
from tests.support.forbidden_acts import MLFLOW_ACTS, MLFLOW_READS, REFUSED, Act, basic, status_of
from tests.support.workers import base_settings


@pytest.fixture(scope="module")
def settings(stack: StackInfo, model: Path) -> Settings:
    """Settings of the batch layer, with a model in production."""
    return base_settings(stack, "")


@pytest.fixture(scope="module")
def names(settings: Settings) -> dict[str, str]:
    """What the acts are tried on: the serving version and its files."""
    models = registry(settings)
    serving = models.resolve("production")
    assert serving is not None
    client = MlflowClient(settings.mlflow_url, settings.mlflow_url)
    source = client.get_model_version_download_uri(models.model_name, serving.version)
    artifact = urllib.parse.urlsplit(source).path.lstrip("/") + f"/{FOLDER}/model.json"
    experiment = client.get_run(serving.run_id).info.experiment_id
    return {
        "model": models.model_name,
        "version": serving.version,
        "source": source,
        "artifact": artifact,
        "experiment": experiment,
    }


@pytest.fixture(scope="module")
def headers(stack: StackInfo) -> dict[str, dict[str, str]]:
    """Header with which each account logs in."""
    passwords = mlflow_accounts.passwords(StackLayout(stack.root))
    return {"": {}, **{account: basic(account, password) for account, password in passwords.items()}}


@pytest.mark.parametrize("who", ["", "worker", "batch"])
def test_forbidden_acts_are_refused(
    stack: StackInfo, settings: Settings, names: dict[str, str], headers: dict[str, dict[str, str]], who: str
) -> None:
    before = registry(settings).resolve("production")
    acts = [act for act in MLFLOW_ACTS if act.who == who]
    assert len(acts) >= 5
    tried = {str(act): status_of(stack.ports["mlflow"], act, names, headers[who]) for act in acts}
    assert {act: status for act, status in tried.items() if status not in REFUSED} == {}
    assert registry(settings).resolve("production") == before


def test_a_wrong_password_and_an_unknown_account_are_refused(stack: StackInfo, names: dict[str, str]) -> None:
    for account in ("worker", "batch", "admin", "nobody"):
        for act in MLFLOW_READS:
            assert status_of(stack.ports["mlflow"], act, names, basic(account, "wrong-wrong-wrong")) == 401


def test_the_acts_are_possible_for_those_who_may(
    stack: StackInfo, names: dict[str, str], headers: dict[str, dict[str, str]]
) -> None:
    port = stack.ports["mlflow"]
    assert [status_of(port, act, names, headers["worker"]) for act in MLFLOW_READS] == [200] * len(MLFLOW_READS)
    upload = next(act for act in MLFLOW_ACTS if act.name == "tag the model")
    assert (
        status_of(port, Act("batch", upload.name, upload.method, upload.path, upload.body), names, headers["batch"])
        == 200
    )
    users = Act("admin", "list the accounts", "GET", "/api/2.0/mlflow/users/list")
    assert status_of(port, users, names, headers["admin"]) == 200
    assert status_of(port, users, names, headers["worker"]) in REFUSED


def test_a_worker_opens_the_version_it_serves_with_its_account(
    stack: StackInfo, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "replaced by the account of the settings")
    reader = worker_settings(StackLayout(stack.root), stack, settings.model_copy(update={"state_folder": tmp_path}))
    assert reader.mlflow_username == "worker"
    production = production_model(reader)
    number = production.resolve()
    assert number is not None
    assert production.open_version(number).kernel.score_one("you idiot!!!") > 0
    with pytest.raises(RegistryRefused, match=r"account worker: .*MODERATION_MLFLOW_USERNAME") as refused:
        registry(reader).give_alias("challenger", registry(reader).version(number))
    assert isinstance(refused.value, NeedsPerson)


def test_a_wrong_password_names_the_settings_and_not_itself(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "replaced by the account of the settings")
    wrong = Settings.model_validate(settings.model_dump() | {"mlflow_password": "wrong-wrong-wrong"})
    with pytest.raises(ConfigurationError, match="account batch: its password is wrong") as refused:
        registry(wrong).resolve("production")
    assert "MODERATION_MLFLOW_PASSWORD" in str(refused.value)
    assert "wrong-wrong-wrong" not in str(refused.value)
    assert (secret_text(settings.mlflow_password) or "") not in str(refused.value)
