"""Every command of docs/tutorial-own-data.md does what the page says, on the files that its script writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from cli.main import main
from local.docs.tutorial import CSV, DUMP, PAGE, SCORES, Step, run_steps, steps, write_files


@pytest.mark.budget(60)
def test_every_command_does_what_the_tutorial_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    page = steps(PAGE.read_text())
    used = {word for step in page for word in step.command}
    assert {CSV, DUMP, SCORES} <= used
    assert [step.command[1] for step in page if not step.is_refused].count("train") == 3
    assert sum(step.is_refused for step in page) == 1
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(command: Sequence[str]) -> tuple[int, str]:
        """Run a command in this process, which has imported what commands need."""
        assert command[0] == "moderation"
        monkeypatch.setattr("sys.argv", list(command))
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capfd.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    assert run_steps(page, run) == []


def test_the_commands_of_a_page_are_those_of_its_console_blocks() -> None:
    page = (
        "```console\n$ a 'b c'\none\n\ntwo … three\n$ d\n```\n```\n$ not run\n```\n```console refused\n$ e\nno\n```\n"
    )
    assert steps(page) == [
        Step(("a", "b c"), ("one", "two … three"), False),
        Step(("d",), (), False),
        Step(("e",), ("no",), True),
    ]


@pytest.mark.parametrize(
    ("exit_code", "printed", "complaints"),
    [
        (0, "x one y\n two  2 and three\n", []),
        (1, "one\ntwo three\n", ["exit code 1"]),
        (0, "one\nthree two\n", ["not printed: two … three"]),
        (0, "two three\n", ["not printed: one"]),
    ],
)
def test_what_differs_from_the_page_is_named(exit_code: int, printed: str, complaints: list[str]) -> None:
    assert Step(("a",), ("one", "two … three"), False).complaints(exit_code, printed) == complaints


def test_a_command_that_should_be_refused_must_fail() -> None:
    assert Step(("a",), (), True).complaints(0, "") == ["exit code 0"]
    assert Step(("a",), (), True).complaints(1, "") == []


def test_the_run_ends_at_the_first_command_that_differs() -> None:
    ran: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> tuple[int, str]:
        ran.append(command)
        return 2, ""

    assert run_steps([Step(("a",), (), False), Step(("b",), (), False)], run) == ["a: exit code 2"]
    assert ran == [("a",)]
