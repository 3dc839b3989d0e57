"""Exit codes of commands and workers, and the one table that maps errors to them."""

from __future__ import annotations

from moderation.errors import BadRecord, ModerationError, NeedsPerson, RestartProcess, Unavailable

DONE = 0
REPORTED = 1
"""A command failed or refused and printed the reason."""
WRONG_USAGE = 2
"""The command line itself is wrong; typer ends with this code."""
DEFECT = 3
"""A command did its work and found a broken guarantee."""
RESTART = 75
"""A new process may succeed: the fence was lost, a connection broke, or the code has a defect."""
REFUSED = 78
"""Only an operator can fix the cause: the supervisor must not start the worker again."""

OF_ERRORS: dict[type[ModerationError], tuple[int, int]] = {
    BadRecord: (REPORTED, RESTART),
    Unavailable: (REPORTED, RESTART),
    NeedsPerson: (REPORTED, REFUSED),
    RestartProcess: (REPORTED, RESTART),
}
"""For each base class of errors: the exit code of a command, and that of a worker or the traffic source."""


def command_exit_code(error: ModerationError) -> int:
    """Return the exit code of a command that an error ends."""
    return _codes(error)[0]


def worker_exit_code(error: BaseException) -> int:
    """Return the exit code of a worker that an error ends. An error outside the tree counts as a defect: restart."""
    return _codes(error)[1]


def _codes(error: BaseException) -> tuple[int, int]:
    return next((codes for base, codes in OF_ERRORS.items() if isinstance(error, base)), (REPORTED, RESTART))
