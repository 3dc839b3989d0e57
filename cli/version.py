"""Version of the installed project, with the git commit where the code is a checkout."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import typer

from cli.output import print_line

_CHECKOUT = Path(__file__).resolve().parent.parent
_GIT_SECONDS = 5


def version_text() -> str:
    """Return the version, e.g. ``0.1.0 (commit 1ac73ac)``; the commit is left out where git does not know it."""
    commit = _commit()
    number = version("comment-moderation")
    return number if commit is None else f"{number} (commit {commit})"


def print_version(asked: bool) -> None:
    """Print the version and end the command, if it was asked for."""
    if asked:
        print_line(f"comment-moderation {version_text()}")
        raise typer.Exit


def _commit() -> str | None:
    if not (_CHECKOUT / ".git").exists():
        return None
    command = ["git", "-C", str(_CHECKOUT), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
