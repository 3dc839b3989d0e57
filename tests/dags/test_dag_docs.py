"""docs/dags.md says what the DAGs' docstrings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.dag_docs import PAGE, render
from tests.conftest import ROOT


def test_the_page_is_what_the_docstrings_say() -> None:
    assert render(ROOT / "dags") == PAGE.read_text(), "write it anew: python -m local.dag_docs"


def test_a_changed_docstring_makes_another_page(tmp_path: Path) -> None:
    text = (ROOT / "dags" / "archive_topics.py").read_text()
    (tmp_path / "archive_topics.py").write_text(text.replace("Safe at any time", "Never safe"))
    assert render(tmp_path) != render(ROOT / "dags")


def test_a_file_without_a_docstring_is_refused(tmp_path: Path) -> None:
    (tmp_path / "silent.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match=r"silent\.py has no docstring"):
        render(tmp_path)
