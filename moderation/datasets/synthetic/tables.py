"""Word tables are written as plain text, so that they read and diff like the prose they produce."""

from __future__ import annotations


def lines(text: str) -> tuple[str, ...]:
    """The lines of a text, trimmed, empty ones left out; the first is the most frequent."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def terms(text: str) -> tuple[str, ...]:
    """The comma-separated terms of a text, white space collapsed; the first is the most frequent."""
    return tuple(" ".join(term.split()) for term in text.split(",") if term.strip())
