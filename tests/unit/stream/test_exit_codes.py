from __future__ import annotations

import ast
import inspect

import pytest

from moderation import errors
from moderation.errors import BadRecord, ModerationError, NeedsPerson, RestartProcess, Unavailable
from stream.exit_codes import OF_ERRORS, REFUSED, REPORTED, RESTART, command_exit_code, worker_exit_code
from tests.conftest import ROOT

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


def test_every_error_is_defined_in_the_one_module_of_the_tree() -> None:
    """The tests that drive every error find them all there."""
    tree = {kind.__name__ for kind in CLASSES} - {"StackError"}  # the local stack derives its own
    elsewhere = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for package in ("moderation", "stream", "batch", "cli", "dags", "grafana")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path != ROOT / "moderation" / "errors.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and tree & {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    ]
    assert elsewhere == []
