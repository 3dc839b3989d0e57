"""Run programs of root for the engine; an error names the program and the last lines of its output."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from moderation.errors import StackError

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
"""The environment of every program, so that settings of the caller change nothing."""
_SHOWN_LINES = 15


def run(
    command: Sequence[str | Path],
    *,
    remedy: str = "",
    environment: Mapping[str, str] | None = None,
    given: bytes | None = None,
    seconds: float | None = None,
) -> str:
    """Run a program and return what it printed.

    Args:
        command: program and arguments.
        remedy: what to do if it fails.
        environment: variables besides :data:`ENVIRONMENT`.
        given: its input; none by default.
        seconds: longest run.

    Raises:
        StackError: it failed.
    """
    done = attempt(command, environment=environment, given=given, seconds=seconds)
    if done.returncode:
        shown = " ".join(map(str, command))
        lines = "\n".join((done.stderr + done.stdout).decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:])
        raise StackError(f"`{shown}`", f"it ended with {done.returncode}:\n{lines}\n", remedy)
    return done.stdout.decode(errors="replace")


def attempt(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    given: bytes | None = None,
    seconds: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program; the caller judges its exit code. See :func:`run`.

    Raises:
        StackError: it took longer than ``seconds``.
    """
    try:
        return subprocess.run(
            list(map(str, command)),
            env={**ENVIRONMENT, **(environment or {})},
            input=given or b"",
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        shown = " ".join(map(str, command))
        raise StackError(f"`{shown}`", f"it did not end within {error.timeout} s") from error
