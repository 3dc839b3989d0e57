"""Failures that are provoked on real servers name what to change and repeat no secret."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

import pytest

from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from local.stack.worker import settings_environment
from tests.support.fork_server import run_module
from tests.support.secret_traces import in_text, secrets_of
from tests.support.workers import base_settings

MARKER = "marker-of-a-wrong-secret"
WORKER = ("--loop", "uvloop", "worker", "--without-web")
MIGRATE, HISTORY = ("migrate",), ("history", "--json")


def database(stack: StackInfo, change: str) -> dict[str, str]:
    """Return the address of the database with another password."""
    parts = urllib.parse.urlsplit(stack.database_url())
    address = parts._replace(netloc=f"{parts.username}:{change}@{parts.hostname}:{parts.port}").geturl()
    return {"MODERATION_DATABASE_URL": address}


# Failure, program, arguments, and a part of the message.
PROVOKED: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("wrong password of the database", "cli.main", MIGRATE, "MODERATION_DATABASE_URL"),
    ("malformed address of the database", "cli.main", MIGRATE, "MODERATION_DATABASE_URL"),
    ("wrong password of the database", "stream", WORKER, "password authentication failed"),
    ("wrong password of the registry", "cli.main", HISTORY, "MODERATION_MLFLOW_PASSWORD"),
    ("wrong password of the registry", "stream", WORKER, "MODERATION_MLFLOW_PASSWORD"),
    ("password in the address of the registry", "cli.main", HISTORY, "MODERATION_MLFLOW_PASSWORD"),
    ("malformed signing key", "cli.main", HISTORY, "MODERATION_SIGNING_KEY"),
)


def changes(stack: StackInfo, fault: str) -> Mapping[str, str]:
    """Return the variables that provoke a failure."""
    return {
        "wrong password of the database": database(stack, MARKER),
        "malformed address of the database": database(stack, f"{MARKER}%zz"),
        "wrong password of the registry": {"MODERATION_MLFLOW_PASSWORD": MARKER},
        "password in the address of the registry": {"MODERATION_MLFLOW_URL": f"http://batch:{MARKER}@127.0.0.1:9"},
        "malformed signing key": {"MODERATION_SIGNING_KEY": MARKER},
    }[fault]


@pytest.mark.parametrize(("fault", "module", "arguments", "named"), PROVOKED, ids=lambda value: str(value)[:40])
def test_no_error_repeats_a_secret(
    stack: StackInfo, model: Path, tmp_path: Path, fault: str, module: str, arguments: tuple[str, ...], named: str
) -> None:
    secrets = secrets_of(StackLayout(stack.root))
    settings = base_settings(stack, "").model_copy(update={"state_folder": tmp_path / "state"})
    environment = {**os.environ, **settings_environment(settings), **changes(stack, fault)}  # noqa: TID251 - a child's
    log = tmp_path / "output"
    program = run_module(module, list(arguments), env=environment, cwd=tmp_path, log=log)
    assert program.wait(90) != 0
    output = log.read_text()
    assert named in output
    assert MARKER not in output
    assert in_text(output, secrets) == []
