"""Install the packages of an image into a new environment, from its lock, as the Dockerfile does."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from local.containers.environments import find_uv, install_lock
from local.stack.environment import inherited_environment
from tests.conftest import ROOT
from tests.deploy.files import Files
from tests.deploy.image_checks import removed_folders

LOCKS = ROOT / "docker"


@functools.cache
def project_wheel(target: str) -> Path:
    """This project as the wheel of an image, built as the Dockerfile does: without isolation, without some folders."""
    source = _folder(f"{target}-source")
    for name in ("moderation", "stream", "batch", "grafana", "local", "cli"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for name in removed_folders(Files(), target):
        shutil.rmtree(source / name)
    folder = _folder(f"{target}-wheel")
    _run(find_uv(), "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, source)
    return next(folder.glob("*.whl"))


@functools.cache
def image_environment(target: str) -> Path:
    """The Python of a new environment with the contents of the image `target`, and nothing else."""
    folder = _folder(target)
    python = install_lock(target, folder, venv_options=["--clear"])
    if target != "mlflow":
        _run(find_uv(), "pip", "install", "--python", python, "--no-deps", project_wheel(target))
    return python


def _folder(name: str) -> Path:
    """A new folder, removed when the tests end."""
    folder = Path(tempfile.mkdtemp(prefix=f"moderation-image-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, env=inherited_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr}"
