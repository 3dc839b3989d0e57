from __future__ import annotations

from pathlib import Path

import pytest

from local.stack.layout import StackLayout
from local.stack.prerequisites import check_disk, check_memory, check_open_files
from local.stack.program import Program, in_start_order, levels
from local.stack.required_packages import check_packages
from local.stack.wait import wait_until
from moderation.errors import ConfigurationError, StackError


def _program(name: str, *depends_on: str) -> Program:
    return Program(name=name, argv=("true",), cwd=Path("/"), depends_on=depends_on)


def test_programs_start_after_what_they_depend_on() -> None:
    ordered = in_start_order([_program("c", "b"), _program("b", "a"), _program("a"), _program("d", "a")])
    assert [program.name for program in ordered] == ["a", "b", "d", "c"]
    assert levels(ordered) == {"a": 0, "b": 1, "d": 1, "c": 2}


@pytest.mark.parametrize(
    ("programs", "message"),
    [
        ([_program("a", "b"), _program("b", "a")], "they wait for each other"),
        ([_program("a", "nobody")], "it depends on nobody"),
        ([_program("a"), _program("a")], "the name is given twice"),
    ],
)
def test_programs_that_cannot_be_ordered_are_refused(programs: list[Program], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        in_start_order(programs)


@pytest.mark.parametrize("name", ["", "Big", "with space", "../up", "semi;colon"])
def test_a_name_that_cannot_be_a_file_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="lower-case"):
        _program(name)


@pytest.mark.parametrize("folder", ["a,b", "a:b", "a;b", "50%", "it's"])
def test_a_data_folder_with_characters_of_path_lists_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ConfigurationError, match="data folder"):
        StackLayout(tmp_path / folder)


def test_a_wait_ends_when_the_condition_is_true_and_checks_at_least_once() -> None:
    answers, now = iter([False, False, True]), [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    waited = wait_until(lambda: next(answers), seconds=9, description="it", clock=lambda: now[0], pause=pause)
    assert waited == pytest.approx(0.2)
    assert wait_until(lambda: True, seconds=0, description="it") < 1


def test_a_timeout_names_the_condition_and_the_remedy() -> None:
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(StackError, match=r"Kafka: timed out after 3 s\. See the log\."):
        wait_until(
            lambda: False,
            seconds=3,
            description="Kafka",
            remedy="See the log.",
            clock=lambda: now[0],
            pause=pause,
        )
    assert now[0] == pytest.approx(3)


def test_a_missing_requirement_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"packages nowhere_a, nowhere_b: .* extras"):
        check_packages(("pathlib", "nowhere_a", "nowhere_b"))
    with pytest.raises(ConfigurationError, match=r"GiB free, .* Free some"):
        check_disk(tmp_path / "not" / "yet", 2**62)
    with pytest.raises(ConfigurationError, match=r"memory: .* Close other programs"):
        check_memory(2**62)
    with pytest.raises(ConfigurationError, match=r"limit of open files: .* ulimit"):
        check_open_files(2**62)
