"""`moderation down --purge` asks before it deletes data."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.main import app
from cli.purge import confirm_purge
from local.stack import commands
from local.stack.folder_kind import FolderKind, claim
from local.stack.layout import StackLayout
from moderation.errors import ConfigurationError


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    layout = StackLayout(tmp_path / "data")
    claim(layout, FolderKind.STACK)
    layout.make_folders()
    return layout.root


def test_purge_without_a_terminal_is_refused_with_the_command_to_type(folder: Path) -> None:
    outcome = CliRunner().invoke(app, ["down", "--purge", "--data-folder", str(folder)])
    assert outcome.exit_code == 2
    assert "down --purge --yes --data-folder" in " ".join(outcome.output.replace("│", " ").split())
    assert (folder / "kafka").is_dir()


def test_purge_with_yes_does_not_ask(folder: Path) -> None:
    outcome = CliRunner().invoke(app, ["down", "--purge", "--yes", "--data-folder", str(folder)])
    assert outcome.exit_code == 0, outcome.output
    assert not folder.exists()


def test_purge_of_nothing_does_not_ask(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["down", "--purge", "--data-folder", str(tmp_path / "none")]).exit_code == 0


@pytest.mark.parametrize(("answer", "is_deleted"), [("yes\n", True), ("y\n", False), ("\n", False), ("", False)])
def test_only_the_answer_yes_permits_the_deletion(
    answer: str, is_deleted: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal(answer))
    if is_deleted:
        confirm_purge(tmp_path, "moderation down --purge --yes", tmp_path, yes=False)
    else:
        with pytest.raises(typer.Exit):
            confirm_purge(tmp_path, "moderation down --purge --yes", tmp_path, yes=False)


@pytest.mark.parametrize(
    "command", [["demo"], ["chaos"], ["bench", "archive"], ["bench", "stream"], ["bench", "batch"]], ids=" ".join
)
def test_command_with_a_stack_of_its_own_neither_stops_nor_deletes_another_one(
    command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the other stack was stopped")

    monkeypatch.setattr(commands, "down", refuse)
    outcome = CliRunner().invoke(app, [*command, "--data-folder", str(folder)])
    assert isinstance(outcome.exception, ConfigurationError), outcome.output
    assert "contains the data of `moderation up`" in str(outcome.exception)
    assert (folder / "kafka").is_dir()


def test_demo_asks_before_it_deletes_an_earlier_one(tmp_path: Path) -> None:
    layout = StackLayout(tmp_path / "demo")
    claim(layout, FolderKind.DEMO)
    layout.make_folders()
    outcome = CliRunner().invoke(app, ["demo", "--data-folder", str(layout.root)])
    assert outcome.exit_code == 2
    assert "demo --yes --data-folder" in " ".join(outcome.output.replace("│", " ").split())
    assert layout.kafka.is_dir()
