"""What the pages say of the tests: every file they name exists."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TESTS = {path.name for path in (ROOT / "tests").rglob("*.py")}


@pytest.mark.parametrize("page", [str(path.relative_to(ROOT)) for path in PAGES])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = re.findall(r"`(tests/[\w/.]+)`|`(test_\w+\.py)`", (ROOT / page).read_text())
    missing = [path or name for path, name in named if not ((ROOT / path).exists() if path else name in TESTS)]
    assert missing == []


def test_the_guarantees_name_tests() -> None:
    """Else the check above could not fail."""
    assert len(re.findall(r"`tests/", (ROOT / "docs" / "guarantees.md").read_text())) > 5
