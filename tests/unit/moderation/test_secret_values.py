from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr

from moderation.errors import ConfigurationError
from moderation.secret_values import fault_of_database_url, fault_of_token
from moderation.settings import (
    FILE_SUFFIX,
    Settings,
    is_loopback,
    load_settings,
    required_http_token,
    secret_keys,
)
from tests.conftest import ROOT

SECRET = "hunter2-hunter2-hunter2"
VALUES = {"MODERATION_DATABASE_URL": f"postgresql://moderation:{SECRET}@db:5432/moderation"}
ALSO_NEEDED = {
    "PASSWORD": {"SECURITY_PROTOCOL": "sasl_ssl", "SASL_MECHANISM": "PLAIN", "USERNAME": "worker"},
    "KEY_PASSWORD": {"SECURITY_PROTOCOL": "ssl", "CERTIFICATE_FILE": __file__, "KEY_FILE": __file__},
    "OAUTH_CLIENT_SECRET": {
        "SECURITY_PROTOCOL": "sasl_ssl",
        "SASL_MECHANISM": "OAUTHBEARER",
        "OAUTH_ENDPOINT": "https://issuer/token",
        "OAUTH_CLIENT_ID": "worker",
    },
}
"""Settings of the connection to Kafka without which one of its secrets is refused, without MODERATION_KAFKA_."""


def secret_file(folder: Path, content: str | bytes = SECRET, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def refusal() -> ConfigurationError:
    """Return the error with which the settings are refused; neither it nor its traceback repeats the secret."""
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert SECRET not in "".join(traceback.format_exception(refused.value))
    return refused.value


@pytest.mark.parametrize("key", secret_keys())
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_every_secret_can_come_from_a_file(key: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = VALUES.get(key, SECRET)
    monkeypatch.setenv(key + FILE_SUFFIX, str(secret_file(tmp_path, value + end)))
    for name, text in ALSO_NEEDED.get(key.removeprefix("MODERATION_KAFKA_"), {}).items():
        monkeypatch.setenv(f"MODERATION_KAFKA_{name}", text)
    found = getattr(load_settings(), key.removeprefix("MODERATION_").lower())
    assert found.get_secret_value() == value
    assert SECRET not in repr(load_settings())


def test_every_secret_is_among_the_keys_of_secrets() -> None:
    words = ("password", "_key", "token", "database_url", "secret")
    names = {name for name in Settings.model_fields if any(word in name for word in words)}
    names -= {"verify_keys", "kafka_key_file"}
    assert {key.removeprefix("MODERATION_").lower() for key in secret_keys()} == names


def test_the_page_lists_every_secret() -> None:
    section = (ROOT / "docs" / "configuration.md").read_text().split("## Secrets in files")[1].split("\n## ")[0]
    assert set(re.findall(r"`(MODERATION_\w+)`", section)) == set(secret_keys())


def test_only_one_line_end_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_AUTHOR_KEY_FILE", str(secret_file(tmp_path, " two words \n\n")))
    key = load_settings().author_key
    assert key is not None
    assert key.get_secret_value() == " two words \n"


def test_a_value_and_a_file_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_AUTHOR_KEY", SECRET)
    monkeypatch.setenv("MODERATION_AUTHOR_KEY_FILE", str(secret_file(tmp_path)))
    assert "MODERATION_AUTHOR_KEY and MODERATION_AUTHOR_KEY_FILE: both are set" in str(refusal())


def test_an_empty_value_counts_as_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_AUTHOR_KEY", "")
    monkeypatch.setenv("MODERATION_AUTHOR_KEY_FILE", str(secret_file(tmp_path)))
    monkeypatch.setenv("MODERATION_SIGNING_KEY_FILE", "")
    settings = load_settings()
    assert settings.author_key == SecretStr(SECRET)
    assert settings.signing_key is None


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o602, 0o660, 0o601])
def test_a_file_that_others_may_read_or_change_is_refused(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = secret_file(tmp_path, mode=mode)
    monkeypatch.setenv("MODERATION_HTTP_TOKEN_FILE", str(path))
    assert f"MODERATION_HTTP_TOKEN_FILE={path}: the file has mode {mode:04o}" in str(refusal())


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640])
def test_a_file_for_its_owner_and_group_is_read(mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_HTTP_TOKEN_FILE", str(secret_file(tmp_path, mode=mode)))
    assert load_settings().http_token == SecretStr(SECRET)


@pytest.mark.parametrize(
    ("content", "cause"),
    [("", "is empty"), ("\n", "is empty"), (b"\xff\xfe", "not UTF-8"), ("x" * 70_000, "more than")],
)
def test_a_file_without_a_usable_secret_is_named(
    content: str | bytes, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = secret_file(tmp_path, content)
    monkeypatch.setenv("MODERATION_SIGNING_KEY_FILE", str(path))
    assert str(path) in str(refusal())
    assert cause in str(refusal())


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        monkeypatch.setenv("MODERATION_SIGNING_KEY_FILE", str(path))
        assert f"MODERATION_SIGNING_KEY_FILE={path}: the file cannot be read" in str(refusal())


def test_settings_that_are_no_secrets_have_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_LAKE_URL_FILE", str(secret_file(tmp_path)))
    assert "MODERATION_LAKE_URL_FILE: no such setting" in str(refusal())


BAD_URLS = (
    f"moderation:{SECRET}@db/moderation",
    f"postgresql//moderation:{SECRET}@db/moderation",
    f"host=db password={SECRET}",
    f"postgresql://moderation:{SECRET}%zz@db/moderation",
    f"postgresql://moderation:{SECRET} x@db/moderation",
    f"postgresql://moderation:{SECRET}/x@db/moderation",
    f"postgresql://moderation:{SECRET}#x@db/moderation",
    f"postgresql://moderation:{SECRET}?x@db/moderation",
    f"postgresql://moderation:{SECRET}[x@db/moderation",
    f"postgresql://moderation:x@{SECRET}@db/moderation",
)


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_malformed_database_address_is_refused_without_repeating_it(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODERATION_DATABASE_URL", url)
    assert "MODERATION_DATABASE_URL: " in str(refusal())
    monkeypatch.delenv("MODERATION_DATABASE_URL")
    monkeypatch.setenv("MODERATION_DATABASE_URL_FILE", str(secret_file(tmp_path, url)))
    assert "MODERATION_DATABASE_URL: " in str(refusal())


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://moderation:p%40ss%2Fword@db/moderation",
        "postgres://db:5432/moderation?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql://u:p@a:5432,b:5433/moderation?target_session_attrs=read-write",
        "postgresql://u:p@[::1]:5432/moderation",
        "postgresql:///moderation?host=/var/run/postgresql",
    ],
)
def test_addresses_that_libpq_reads_are_accepted(url: str) -> None:
    assert fault_of_database_url(url) is None


@pytest.mark.parametrize(
    "token", ["short", "with a space in it", "tab\tinside-of-it-all", "ümlaut-in-the-token", "x" * 15]
)
def test_a_weak_token_is_refused(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fault_of_token(token) is not None
    monkeypatch.setenv("MODERATION_HTTP_TOKEN", token)
    assert "MODERATION_HTTP_TOKEN: " in str(refusal())


def test_an_address_that_other_machines_reach_needs_a_token() -> None:
    for host in ("0.0.0.0", "::", "10.0.0.1", "worker.example"):  # noqa: S104
        assert not is_loopback(host)
        with pytest.raises(
            ConfigurationError, match="MODERATION_HTTP_TOKEN: it is not set, and MODERATION_WORKER_HOST"
        ):
            required_http_token(Settings(worker_host=host))
        assert required_http_token(Settings(worker_host=host, http_token=SecretStr(SECRET))) == SECRET
    for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
        assert required_http_token(Settings(worker_host=host)) is None
        assert required_http_token(Settings(worker_host=host, http_token=SecretStr(SECRET))) == SECRET
