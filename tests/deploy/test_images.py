"""The Dockerfile passes its checks without an engine, and every check detects its alterations."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.deploy.files import DOCKERFILE, Files
from tests.deploy.image_checks import BREAKS, CHECKS, TARGETS, volumes

Check = Callable[[Files], list[str]]
HERE = Files()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_nothing_is_wrong_with_the_images(check: Check) -> None:
    assert check(HERE) == []


@pytest.mark.parametrize(("check", "name", "old", "new"), BREAKS)
def test_an_alteration_is_detected(check: Check, name: str, old: str, new: str) -> None:
    assert check(HERE.altered(name, old, new)) != []


def test_every_check_is_proven_by_a_break() -> None:
    assert {check for check, *_ in BREAKS} == set(CHECKS)


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "--no-color", ROOT / DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_build_context_contains_exactly_the_copied_files() -> None:
    copied = set()
    for stage in HERE.stages.values():
        for each in stage.instructions:
            if each.name == "COPY" and "--from=" not in each.arguments:
                copied |= {word for word in each.arguments.split()[:-1] if not word.startswith("--")}
    assert all((ROOT / path).exists() for path in copied)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert all(any(path == each or path.startswith(f"{each}/") for each in let_in) for path in copied)
    assert all(any(path == each or path.startswith(f"{each}/") for path in copied) for each in let_in)
    assert not {each for each in let_in if each.startswith((".env", ".git", "tests", "var"))}


def test_the_registrys_folder_contains_no_python_file() -> None:
    assert {path.name for path in (ROOT / "mlflow").rglob("*")} == {"README.md", "entrypoint.sh"}


def test_scripts_can_be_executed_and_are_posix_shell() -> None:
    scripts = [path for path in ROOT.glob("*/**/*.sh") if ".venv" not in path.parts]
    assert {path.name for path in scripts} >= {"entrypoint.sh", "park.sh", "databases.sh"}
    for path in scripts:
        assert path.stat().st_mode & 0o111, path
        assert path.read_text().startswith("#!/bin/sh\n"), path
        subprocess.run(["sh", "-n", path], check=True)


def test_the_page_lists_user_volumes_and_port_of_every_image() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    rows = dict(re.findall(r"^\| `(comment-moderation-[a-z-]+)` \| (.*)$", page, re.MULTILINE))
    assert {name.removeprefix("comment-moderation-") for name in rows} == {*TARGETS, "source"}
    for name, row in rows.items():
        if name == "comment-moderation-source":
            assert row.endswith(" none |")
            row, name = row.replace("none", "`GET :6066/`"), "comment-moderation-worker"  # what it inherits
        stage = HERE.stages[name.removeprefix("comment-moderation-")]
        user = (stage.last("USER") or "").partition(":")[0]
        assert user in row
        assert set(re.findall(r"`(/[^`]*)`", row)) == volumes(stage) | {"/tmp"}  # noqa: S108 - what may be written
        assert int(re.findall(r"`GET :(\d+)/", row)[0]) in stage.ports
