"""The packages of an image in an environment of their own, installed from its lock as the Dockerfile does it."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from local.stack.environment import inherited_environment
from tests.conftest import ROOT

LOCKS = ROOT / "docker"


def uv() -> str:
    """The uv that `make setup` uses."""
    found = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    assert Path(found).exists(), "run make setup"
    return found


@functools.cache
def project_wheel() -> Path:
    """This project as a wheel, built the way the Dockerfile builds it: without isolation."""
    folder = _folder("wheel")
    _run(uv(), "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, ROOT)
    return next(folder.glob("*.whl"))


@functools.cache
def image_environment(target: str) -> Path:
    """The Python of a new environment that holds what the image `target` holds, and nothing else."""
    folder = _folder(target)
    python = folder / "bin" / "python"
    _run(uv(), "venv", "--clear", "--python", sys.executable, folder)
    lock = LOCKS / f"requirements-{target}.lock"
    _run(uv(), "pip", "install", "--python", python, "--require-hashes", "--no-deps", "--requirement", lock)
    if target != "mlflow":
        _run(uv(), "pip", "install", "--python", python, "--no-deps", project_wheel())
    return python


def _folder(name: str) -> Path:
    """A new folder that is gone when the tests have ended."""
    folder = Path(tempfile.mkdtemp(prefix=f"moderation-image-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, env=inherited_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr}"
