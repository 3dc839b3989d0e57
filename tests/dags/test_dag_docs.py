"""docs/dags.md contains the docstrings of the DAG files."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from local.docs.dag_pages import PAGE, render
from tests.conftest import ROOT


def test_the_page_contains_the_docstrings() -> None:
    assert render(ROOT / "dags") == PAGE.read_text(), "run python -m local.docs.dag_pages"


@pytest.mark.parametrize("path", sorted((ROOT / "dags").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_a_manual_states_what_is_retried(path: Path) -> None:
    manual = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())
    assert "Errors that need an operator fail the task at once" in manual
    assert "the task is retried with growing delays" in manual


def test_a_changed_docstring_makes_another_page(tmp_path: Path) -> None:
    text = (ROOT / "dags" / "archive_topics.py").read_text()
    assert "Safe at any time" in text
    (tmp_path / "archive_topics.py").write_text(text.replace("Safe at any time", "Never safe"))
    assert render(tmp_path) != render(ROOT / "dags")


def test_a_file_without_a_docstring_is_refused(tmp_path: Path) -> None:
    (tmp_path / "silent.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match=r"silent\.py has no docstring"):
        render(tmp_path)
