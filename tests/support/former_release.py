"""A former release of this project, taken from the repository's history, and its command line.

The release runs in an environment of its own: an interpreter that finds the release's modules first and the packages of
the present environment after them. Nothing is fetched; ``requirements.lock`` only gained packages since the release.
"""

from __future__ import annotations

import io
import json
import subprocess
import sysconfig
import tarfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.stack.environment import inherited_environment
from tests.conftest import ROOT

_SETTINGS = """
import json, pathlib, sys
from local import stack
from local.layout import StackLayout
from local.worker import settings_environment, stack_settings
layout = StackLayout(pathlib.Path(sys.argv[1]))
print(json.dumps(dict(settings_environment(stack_settings(layout, stack.info(layout))))))
"""


def run(command: list[str], *, env: Mapping[str, str] | None = None, code: int = 0) -> str:
    """Run a program, check its exit code and return what it printed."""
    done = subprocess.run(
        command,
        env={**inherited_environment(), **(env or {})},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == code, f"{' '.join(command[3:])}: {done.stdout[-1_000:]}{done.stderr[-3_000:]}"
    return done.stdout


@dataclass(frozen=True)
class FormerRelease:
    """A release whose stack is in a data folder.

    Attributes:
        python: interpreter of its environment.
        data_folder: of its stack.
    """

    python: Path
    data_folder: Path

    def moderation(self, *arguments: str) -> str:
        """Run one of its commands and return what it printed."""
        return run([str(self.python), "-P", "-m", "cli.main", *arguments, "--data-folder", str(self.data_folder)])

    def reported(self, *arguments: str) -> dict[str, Any]:
        """Run one of its commands with ``--json`` and return the object."""
        report: dict[str, Any] = json.loads(self.moderation(*arguments, "--json"))
        return report

    def settings(self) -> dict[str, str]:
        """Return the settings of its programs as environment variables."""
        values: dict[str, str] = json.loads(run([str(self.python), "-P", "-c", _SETTINGS, str(self.data_folder)]))
        return values


def former_release(commit: str, folder: Path) -> FormerRelease:
    """Take a release out of the history; skip the test if the history does not contain it.

    Args:
        commit: of the release.
        folder: receives its files, its environment and the data folder of its stack.
    """
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"the history has no commit {commit}: this is a shallow clone or no clone")
    code, environment = folder / "code", folder / "environment"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(code, filter="data")
    venv.EnvBuilder(symlinks=True).create(environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    # Not PYTHONPATH: programs of a stack do not inherit it.
    (packages / "release.pth").write_text(f"{code}\n{sysconfig.get_paths()['purelib']}\n", encoding="utf-8")
    return FormerRelease(environment / "bin" / "python", folder / "data")
