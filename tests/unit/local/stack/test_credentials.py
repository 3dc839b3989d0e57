from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.stack.airflow import admin_password, airflow
from local.stack.credentials import Credentials, ensure_secrets, load, load_or_create, write_private
from local.stack.layout import StackLayout
from moderation.errors import ConfigurationError


def test_secrets_are_created_once_and_stored_with_the_passwords(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    before = load_or_create(path, ("moderation",))
    made = ensure_secrets(path, {"one": lambda: "1", "two": lambda: "2"})
    assert made == {"one": "1", "two": "2"}
    assert ensure_secrets(path, {"two": lambda: "other", "three": lambda: "3"}) == {"two": "2", "three": "3"}
    assert load(path) == Credentials(before.supervisor, before.databases, {"one": "1", "two": "2", "three": "3"})
    assert load_or_create(path, ("moderation", "airflow")).secrets["one"] == "1"
    assert path.stat().st_mode & 0o077 == 0
    assert "one" not in repr(load(path))


def test_credentials_without_secrets_are_read(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    write_private(path, json.dumps({"supervisor": "s", "databases": {"moderation": "m"}}))
    assert load(path) == Credentials("s", {"moderation": "m"})


def test_secrets_need_the_credentials_of_a_stack(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the file is absent. Start the stack"):
        ensure_secrets(tmp_path / "credentials.json", {"one": lambda: "1"})


def test_airflow_has_no_password_before_it_is_brought_up_and_needs_a_folder_of_dags(tmp_path: Path) -> None:
    layout = StackLayout(tmp_path)
    assert admin_password(layout) is None
    with pytest.raises(ConfigurationError, match=r"folder of DAGs .*: it does not exist: .* up --core"):
        airflow(layout, tmp_path / "nowhere")
