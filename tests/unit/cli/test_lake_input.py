from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.lake_input import stated_interval
from cli.main import app
from moderation.errors import ConfigurationError


def test_an_interval_of_the_lake_is_days_or_two_dates() -> None:
    assert stated_interval("28") == {"days": 28.0}
    assert stated_interval("0.5") == {"days": 0.5}
    assert stated_interval("2026-05-01..2026-05-29") == {"days": 28, "end": "2026-05-29"}


@pytest.mark.parametrize("text", ["", "x", "2026-05-01", "2026-05-01..", "2026-05-29..2026-05-01", "a..b"])
def test_another_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--from-lake.*2026-05-01\.\.2026-05-29"):
        stated_interval(text)


@pytest.mark.parametrize("option", ["--columns=body=x", "--mapping=x.json", "--encoding=utf-8", "--no-header"])
def test_the_lake_is_not_read_by_statements_about_files(option: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["train", "--out", str(tmp_path / "out"), "--from-lake", "28", option])
    assert done.exit_code == 2
    assert "state how files are read" in re.sub(r"[\s│]+", " ", done.stderr)


@pytest.mark.parametrize("command", ["train", "report"])
def test_the_lake_cannot_be_combined_with_files(command: str, tmp_path: Path) -> None:
    arguments = [command, "--out", str(tmp_path / "out"), "--from-lake", "28", "export.csv"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "give files as FILE…" in re.sub(r"\s+", " ", done.stderr)
