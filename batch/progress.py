"""Progress callbacks: a function that receives each progress message as one line of text."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[str], None]


def no_progress(line: str) -> None:
    """Ignore a progress message; the default of functions that report progress."""
