"""Text of the project avoids the terms of its old private dialect; each has a plain replacement."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

DIALECT = {
    r"\bmend(s|ed|ing)?\b": "fix, repair",
    r"\banew\b": "again; re-created",
    r"\bheld against\b|\bhold(s|ing)? (\w+ ){1,4}against\b": "compared with",
    r"(?<!Heaps' )(?<!Zipf's )(?<!, the )\blaws?\b": "rule",
    r"\b(a|the|no) persons?'s? word\b|\btheir word\b": "approval, acknowledgement",
    r"\blet loose\b": "released",
    r"\bwhoever\b": "name the role",
    r"\b(told|tells?|tell|telling) apart\b|\btold from\b": "distinguished",
    r"\bwithout a word\b|\bhas a say\b|\bin vain\b": "say what happens",
    r"\bwhat (\w+ ){1,3}(is|are) worth\b": "name the figure",
    r"\bno person\b|\bof nobody\b|\bis nobody's\b": "name the role",
    r"\bgo(es)? forth\b": "say what happens",
}
"""Expressions that no text may contain, in upper or lower case, each with its replacement."""

EXEMPT = (
    "CHANGELOG.md",
    "moderation/adapters/sql/migrations/",
    "moderation/datasets/synthetic/",
    "tests/deploy/test_wording.py",
)
"""What is never checked: history, applied migrations, the words of generated comments, and the list above."""

_SUFFIXES = (".py", ".md", ".yaml", ".yml", ".toml", "Makefile")


def checked_files() -> list[Path]:
    """Tracked text files."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in tracked.stdout.split("\0") if name.endswith(_SUFFIXES)]
    return [ROOT / name for name in names if not name.startswith(EXEMPT)]


def dialect_in(text: str) -> list[str]:
    """Each use of the dialect in a text: line number, expression and replacement."""
    uses = []
    for number, line in enumerate(text.splitlines(), start=1):
        for expression, replacement in DIALECT.items():
            match = re.search(expression, line, re.IGNORECASE)
            if match:
                uses.append(f"{number}: {match[0]!r}, write: {replacement}")
    return uses


def test_text_is_free_of_the_old_dialect() -> None:
    uses = [f"{path.relative_to(ROOT)}:{use}" for path in checked_files() for use in dialect_in(path.read_text())]
    assert uses == [], "\n" + "\n".join(uses)


@pytest.mark.parametrize(
    "line",
    ["only a person can mend it", "the topic was made anew", "hold it up against the law of panes", "told apart"],
)
def test_dialect_is_reported_with_its_line(line: str) -> None:
    assert [use.partition(":")[0] for use in dialect_in(f"plain\n{line}\n")] != []


def test_plain_text_passes() -> None:
    assert dialect_in("Amend the commit; Heaps' law applies; compare the lake with the ledger.") == []
