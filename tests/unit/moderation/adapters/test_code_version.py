"""The version of the running code."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import moderation
from moderation.adapters import code_version as module
from moderation.adapters.code_version import code_version, git_commit


@pytest.fixture(autouse=True)
def _forgotten_commit() -> Iterator[None]:
    git_commit.cache_clear()
    yield
    git_commit.cache_clear()


def test_version_without_a_checkout_is_that_of_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_CHECKOUT", tmp_path)
    assert code_version() == moderation.__version__
    git_commit.cache_clear()
    (tmp_path / "moderation").mkdir()
    (tmp_path / "moderation" / "revision.txt").write_text("1ac73ac\n")
    assert code_version() == f"{moderation.__version__} (commit 1ac73ac)"


def test_version_of_a_checkout_names_the_commit_and_changed_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.org", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "--quiet", "--message", "first")
    git("tag", "v9")
    monkeypatch.setattr(module, "_CHECKOUT", tmp_path)
    commit = git("rev-parse", "--short", "HEAD")
    assert code_version() == f"{moderation.__version__} (commit {commit})"
    git_commit.cache_clear()
    (tmp_path / "file").write_text("b")
    assert code_version() == f"{moderation.__version__} (commit {commit}-dirty)"
