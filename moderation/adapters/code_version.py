"""Version of the running code: that of the package, with the git commit where the code is a checkout."""

from __future__ import annotations

import functools
import subprocess
from importlib.metadata import version
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]
_REVISION = Path("moderation", "revision.txt")
"""Written when an image is built, because the image contains no checkout."""
_GIT_SECONDS = 5


def code_version() -> str:
    """Return the version, e.g. ``0.1.0 (commit 1ac73ac)``; the commit is left out where nothing states it.

    The commit ends in ``-dirty`` if files of the checkout differ from it.
    """
    number, commit = version("comment-moderation"), git_commit()
    return number if commit is None else f"{number} (commit {commit})"


@functools.cache
def git_commit() -> str | None:
    """Return the commit of the checkout, or the one from which the image was built; None if neither is known."""
    if not (_CHECKOUT / ".git").exists():
        revision = _CHECKOUT / _REVISION
        return revision.read_text(encoding="utf-8").strip() if revision.exists() else None
    # The pattern matches no tag, so that the commit is printed.
    command = ["git", "-C", str(_CHECKOUT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
