from __future__ import annotations

import re

import pytest

from moderation.errors import ConfigurationError, GoalUnmet, InvalidRecord, ModerationError
from moderation.settings import PREFIX, Settings, load_settings
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
