"""Parse word tables, which are written as plain text for readable diffs."""

from __future__ import annotations


def lines(text: str) -> tuple[str, ...]:
    """Split a text into trimmed lines without empty ones; the first is the most frequent."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def terms(text: str) -> tuple[str, ...]:
    """Split a text into comma-separated terms with collapsed white space; the first is the most frequent."""
    return tuple(" ".join(term.split()) for term in text.split(",") if term.strip())
