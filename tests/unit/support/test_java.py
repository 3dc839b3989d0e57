"""Where the tests with Spark look for Java: where Spark does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.java import java


def java_in(folder: Path) -> str:
    folder.mkdir(parents=True)
    program = folder / "java"
    program.touch(0o755)
    return str(program)


def test_java_home_comes_before_the_path_as_spark_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert java() is None
    on_the_path = java_in(tmp_path / "path")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert java() == on_the_path
    at_home = java_in(tmp_path / "home/bin")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert java() == at_home
    # A home without a java is where Spark fails, whatever the path has.
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nothing"))
    assert java() is None
