from __future__ import annotations

import pytest

from moderation.adapters.registry import Registry
from moderation.errors import ConfigurationError
from tests.support.model_folders import KEYS


@pytest.mark.parametrize("address", ["", "sqlite:///x.db", "./mlruns", "databricks", "http://"])
def test_only_a_server_is_a_registry(address: str) -> None:
    with pytest.raises(ConfigurationError, match="not an http or https address"):
        Registry(address, "m", KEYS)


def test_an_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigurationError, match="MLFLOW_TRACKING_PASSWORD") as refused:
        Registry("http://somebody:hunter2@127.0.0.1:5000", "m", KEYS)
    assert "hunter2" not in str(refused.value)
