"""Output without a terminal: a log or a file gets whole lines."""

from __future__ import annotations

import pytest
from rich.table import Table
from typer.testing import CliRunner

import cli.main
from cli.output import console_for
from moderation.errors import ConfigurationError


def test_lines_and_tables_are_not_broken_at_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = " ".join(["word"] * 40)
    out = console_for()
    out.print(sentence)
    table = Table("cause", "explanation")
    table.add_row("late", sentence)
    out.print(table)
    assert capsys.readouterr().out.count(sentence) == 2


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ConfigurationError("topic " + "comments" * 40, "it is missing", "Create it.")

    monkeypatch.setattr(cli.main, "app", fail)
    with pytest.raises(SystemExit):
        cli.main.main()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_day_in_the_future_is_refused() -> None:
    result = CliRunner().invoke(cli.main.app, ["reconcile", "--date", "2999-01-01"])
    assert result.exit_code == 2
    assert "is in the future" in result.output
