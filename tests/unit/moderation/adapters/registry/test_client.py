from __future__ import annotations

import pytest
from mlflow.exceptions import MlflowException
from mlflow.utils.rest_utils import verify_rest_response
from requests import HTTPError, Response

from moderation.adapters.registry import Registry
from moderation.adapters.registry.client import use_account
from moderation.errors import ConfigurationError, NeedsPerson, RegistryRefused, RegistryUnavailable
from tests.support.model_folders import KEYS


@pytest.mark.parametrize("address", ["", "sqlite:///x.db", "./mlruns", "databricks", "http://"])
def test_only_a_server_is_a_registry(address: str) -> None:
    with pytest.raises(ConfigurationError, match="not an http or https address"):
        Registry(address, "m", KEYS)


def test_an_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigurationError, match="MODERATION_MLFLOW_PASSWORD") as refused:
        Registry("http://somebody:hunter2@127.0.0.1:5000", "m", KEYS)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("username", "password"), [("batch", None), (None, "secret"), ("batch", "")])
def test_half_an_account_is_refused_by_the_missing_setting(username: str | None, password: str | None) -> None:
    missing = "MODERATION_MLFLOW_PASSWORD" if username else "MODERATION_MLFLOW_USERNAME"
    with pytest.raises(ConfigurationError, match=f"{missing}: it is not set"):
        use_account(username, password)


def response(status: int) -> Response:
    made = Response()
    made.status_code, made.url = status, "http://127.0.0.1:5000/api"
    return made


def failure(status: int, kind: str) -> Exception:
    """Return an error as MLflow's client raises it for a response without JSON."""
    if kind == "requests":
        return HTTPError(f"{status} Client Error: refused", response=response(status))
    if kind == "download":
        return MlflowException(f"The following failures occurred: HTTPError({status} Client Error: X for url: x)")
    try:
        verify_rest_response(response(status), "/api/2.0/mlflow/registered-models/get")
    except MlflowException as error:
        return error
    raise AssertionError("it was accepted")


@pytest.mark.parametrize("kind", ["request", "requests", "download"])
def test_a_refused_account_names_the_settings_and_needs_an_operator(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "worker")
    connection = Registry("http://127.0.0.1:5000", "m", KEYS)._connection
    expected = {401: ("its password is wrong", ConfigurationError), 403: ("it may not do this", RegistryRefused)}
    for status, (cause, base) in expected.items():
        with pytest.raises(base, match=cause) as refused, connection.asking("version 1"):
            raise failure(status, kind)
        assert isinstance(refused.value, NeedsPerson)
        for part in ("account worker", "MODERATION_MLFLOW_USERNAME and MODERATION_MLFLOW_PASSWORD"):
            assert part in str(refused.value)


@pytest.mark.parametrize("kind", ["request", "requests", "download"])
def test_other_failures_of_the_registry_are_retried(kind: str) -> None:
    connection = Registry("http://127.0.0.1:5000", "m", KEYS)._connection
    with pytest.raises(RegistryUnavailable), connection.asking("version 1"):
        raise failure(503, kind)


def test_a_missing_account_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    connection = Registry("http://127.0.0.1:5000", "m", KEYS)._connection
    with pytest.raises(ConfigurationError, match="no account: it needs an account"), connection.asking("version 1"):
        raise failure(401, "request")
