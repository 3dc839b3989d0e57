"""docs/dags.md says what the DAGs' docstrings say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from local.docs.dag_pages import PAGE, render
from tests.conftest import ROOT


def test_the_page_is_what_the_docstrings_say() -> None:
    assert render(ROOT / "dags") == PAGE.read_text(), "write it anew: python -m local.docs.dag_pages"


@pytest.mark.parametrize("path", sorted((ROOT / "dags").glob("*.py")), ids=lambda path: path.stem)
def test_a_manual_names_every_error_that_is_not_retried(path: Path) -> None:
    module = ast.parse(path.read_text())
    for_good = [
        ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FOR_GOOD"
    ]
    manual = ast.get_docstring(module) or ""
    assert [name for names in for_good for name in names if f"*{name}*" not in manual] == []


def test_a_changed_docstring_makes_another_page(tmp_path: Path) -> None:
    text = (ROOT / "dags" / "archive_topics.py").read_text()
    (tmp_path / "archive_topics.py").write_text(text.replace("Safe at any time", "Never safe"))
    assert render(tmp_path) != render(ROOT / "dags")


def test_a_file_without_a_docstring_is_refused(tmp_path: Path) -> None:
    (tmp_path / "silent.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match=r"silent\.py has no docstring"):
        render(tmp_path)
