from __future__ import annotations

import inspect

import pytest

from moderation import errors
from moderation.errors import BadRecord, ModerationError, NeedsPerson, RestartProcess, Unavailable
from stream.exit_codes import OF_ERRORS, REFUSED, REPORTED, RESTART, command_exit_code, worker_exit_code

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ModerationError)]


@pytest.mark.parametrize(
    ("base", "command", "worker"),
    [
        (BadRecord, REPORTED, RESTART),
        (Unavailable, REPORTED, RESTART),
        (NeedsPerson, REPORTED, REFUSED),
        (RestartProcess, REPORTED, RESTART),
    ],
)
def test_each_base_has_one_exit_code_for_commands_and_one_for_workers(
    base: type[ModerationError], command: int, worker: int
) -> None:
    for kind in [kind for kind in CLASSES if issubclass(kind, base)]:
        error = kind.__new__(kind)
        assert (command_exit_code(error), worker_exit_code(error)) == (command, worker)


def test_every_error_has_a_base_in_the_table() -> None:
    assert {kind for kind in CLASSES if not issubclass(kind, tuple(OF_ERRORS))} == {ModerationError}


def test_an_unexpected_error_restarts_the_worker() -> None:
    assert worker_exit_code(ZeroDivisionError()) == RESTART == 75
    assert REFUSED == 78
