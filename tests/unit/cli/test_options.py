from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

import moderation
from cli.main import COMMANDS, app
from cli.options import required_date
from moderation.adapters.code_version import code_version
from stream.source_options import words_of

ROOT = Path(__file__).parents[3]
WIDE = {"COLUMNS": "200", "TERM": "dumb"}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=WIDE)


def test_help_groups_the_commands_by_task() -> None:
    shown = run("--help").stdout
    positions = [shown.index(panel) for panel in COMMANDS]
    assert positions == sorted(positions)
    assert all(f" {name} " in shown for commands in COMMANDS.values() for name in commands)


@pytest.mark.parametrize(
    "name",
    [name for commands in COMMANDS.values() for name in commands if name not in ("bench", "lake", "dead-letters")],
)
def test_the_help_of_a_command_has_an_example(name: str) -> None:
    assert f"Example: moderation {name}" in run(name, "--help").stdout


def test_the_version_is_that_of_the_core() -> None:
    assert code_version().split()[0] == moderation.__version__
    assert run("--version").stdout == f"comment-moderation {code_version()}\n"


def test_completion_can_be_installed() -> None:
    assert "--install-completion" in run("--help").stdout


@pytest.mark.parametrize("command", ["replay", "source"])
def test_the_options_of_the_source_are_listed(command: str) -> None:
    shown = run(command, "--help").stdout
    for option in ("--csv", "--history", "--generate", "--rate", "--shift-anchor", "--no-actions", "--future"):
        assert option in shown


@pytest.mark.parametrize(
    "words",
    ["--csv a", "--fast", "--csv a --generate --fast", "--csv a --fast --rate 3", "--csv a --fast --days 3", "--odd"],
)
def test_options_of_the_source_that_exclude_each_other_are_wrong_usage(words: str) -> None:
    assert run("replay", *words.split()).exit_code == 2


def test_options_of_the_source_become_its_command_line_again() -> None:
    options = {"history": Path("h"), "speed": 60.0, "skip": 0, "no_actions": True, "fast": False, "shift_to": "now"}
    assert words_of(options) == ["--history", "h", "--speed", "60.0", "--no-actions", "--shift-to", "now"]


@pytest.mark.parametrize(
    ("words", "choices"),
    [
        ("reconcile --date 2026-11-23 --engine pandas", ("duckdb", "spark")),
        ("chaos --sabotage other", ("drop", "unpublished")),
        ("archive --topic panes", ("comments", "actions")),
        ("republish --topic comments", ("decisions", "panes")),
        ("dead-letters list --topic panes", ("comments", "actions")),
        ("dead-letters list --reason odd", ("future_dated", "processing_failed")),
    ],
)
def test_an_option_with_fixed_words_names_them(words: str, choices: tuple[str, ...]) -> None:
    result = run(*words.split())
    assert result.exit_code == 2
    assert all(choice in result.output for choice in choices)


@pytest.mark.parametrize("command", ["drift", "rescore"])
def test_the_former_spelling_of_the_date_is_accepted_and_hidden(command: str) -> None:
    shown = run(command, "--help").stdout
    assert "--date" in shown
    assert "--day " not in shown
    for option in ("--date", "--day"):
        result = run(command, option, "tomorrow")
        assert "No such option" not in result.output
        assert result.exit_code != 0


def test_exactly_one_date_is_required() -> None:
    day = datetime(2026, 11, 23)
    assert required_date(day) == required_date(None, day) == date(2026, 11, 23)
    for dates in ((None, None), (day, day)):
        with pytest.raises(typer.BadParameter):
            required_date(*dates)
