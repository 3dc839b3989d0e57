from __future__ import annotations

import re
from pathlib import Path

import pytest

from moderation.database_url import verified_url
from moderation.errors import ConfigurationError, GoalUnmet, InvalidRecord, ModerationError
from moderation.settings import PREFIX, Settings, load_settings, required
from tests.conftest import ROOT


def test_defaults_need_no_environment() -> None:
    assert load_settings() == Settings()


def test_the_environment_sets_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_LEXICON_MAX_CHUNKS", "5000")
    assert load_settings().lexicon_max_chunks == 5_000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MODERATION_LEXICON_MAX_CHUNKS", "many"),
        ("MODERATION_LEXICON_MAX_CHUNKS", "1"),
        ("MODERATION_LOG_LEVEL", "loud"),
        ("MODERATION_LEXICON_MAX_CHUNK", "5000"),
    ],
)
def test_unknown_and_malformed_settings_fail_by_name(monkeypatch: pytest.MonkeyPatch, key: str, value: str) -> None:
    monkeypatch.setenv(key, value)
    with pytest.raises(ConfigurationError, match=key):
        load_settings()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:p@h/d?sslmode=verify-full&sslrootcert=/etc/ca%20file.pem"),
        ("postgresql://u:p?@h/d", "postgresql://u:p?@h/d?sslmode=verify-full&sslrootcert=/etc/ca%20file.pem"),
        (
            "postgresql://h/d?application_name=a@b",
            "postgresql://h/d?application_name=a@b&sslmode=verify-full&sslrootcert=/etc/ca%20file.pem",
        ),
        (
            "postgresql://h/d?sslmode=verify-full",
            "postgresql://h/d?sslmode=verify-full&sslrootcert=/etc/ca%20file.pem",
        ),
        ("host=h dbname=d", "host=h dbname=d sslmode='verify-full' sslrootcert='/etc/ca file.pem'"),
    ],
)
def test_the_file_of_certificates_demands_tls_that_verifies(url: str, expected: str) -> None:
    verified = verified_url(url, Path("/etc/ca file.pem"))
    assert verified == expected
    assert verified_url(verified, Path("/etc/ca file.pem")) == verified


def test_every_reader_of_the_settings_gets_the_verified_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_DATABASE_URL", "postgresql://u:s3cret@h/d")
    monkeypatch.setenv("MODERATION_DATABASE_CA_FILE", "/ca.pem")
    url = required(load_settings().database_url, "database_url")
    assert url == "postgresql://u:s3cret@h/d?sslmode=verify-full&sslrootcert=/ca.pem"


@pytest.mark.parametrize(
    "url", ["postgresql://u:s3cret@h/d?sslmode=require", "host=h password=s3cret sslmode = prefer"]
)
def test_a_url_that_contradicts_the_file_of_certificates_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="MODERATION_DATABASE_URL.*MODERATION_DATABASE_CA_FILE") as raised:
        verified_url(url, Path("/ca.pem"))
    assert "s3cret" not in str(raised.value)


def test_every_setting_is_documented_with_its_default_and_nothing_else_is() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    documented = {
        match[1]: (match[2], match[3].strip())
        for match in re.finditer(r"^\| `(MODERATION_[A-Z_]+)` \| `([^`]*)` \| (.*) \|$", page, re.MULTILINE)
    }
    expected = {
        PREFIX + name.upper(): ("none" if field.default is None else str(field.default), field.description)
        for name, field in Settings.model_fields.items()
    }
    assert documented == expected


def test_errors_name_the_thing_the_cause_and_the_next_step() -> None:
    assert str(ModerationError("file x", "it is gone", "Bring it back.")) == "file x: it is gone. Bring it back."
    assert str(ModerationError("file x", "it is gone")) == "file x: it is gone."
    unmet = GoalUnmet("precision>=0.9", 0.8, "the best is 0.8", "Lower it.")
    assert (unmet.goal, unmet.best) == ("precision>=0.9", 0.8)
    assert InvalidRecord("empty", "no bytes").reason == "empty"
