"""Environments of packages that uv makes, for quick builds: ``--fast``.

pip needs most of a build for hashes, unpacking and compiling. uv installs the same locks with their hashes in seconds.
Of the Dockerfile only the instructions that install a lock are replaced; wheels of this project, accounts, folders and
entry points are built as they are.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from local.containers.folders import CHECKOUT
from local.containers.processes import run
from local.stack.environment import inherited_environment
from moderation.errors import ConfigurationError

CONTEXT = "environments"
"""The name of the additional build context."""
PLACES = {"worker": "/opt/moderation", "batch": "/opt/moderation", "mlflow": "/opt/registry"}
"""The folder of each target's environment in its image."""
_INSTALLS = re.compile(r"^RUN (?:[^\n]*\\\n)*?[^\n]*--require-hashes(?:[^\n]*\\\n)*[^\n]*\n", re.MULTILINE)
_STAGE = re.compile(r"^FROM \S+ AS (\w+)-packages\n(?:(?!^FROM ).*\n)*", re.MULTILINE)


def quick_dockerfile(text: str) -> str:
    """Return the Dockerfile with ``COPY`` of an environment instead of each instruction that installs its lock."""

    def replace(stage: re.Match[str]) -> str:
        target = stage[1]
        if target not in PLACES:
            return stage[0]
        replaced, count = _INSTALLS.subn(f"COPY --from={CONTEXT} {target} {PLACES[target]}\n", stage[0])
        if count != 1:
            raise ConfigurationError(f"stage {target}-packages", f"it installs {count} locks", "Correct the pattern.")
        return replaced

    return _STAGE.sub(replace, text)


def make_environment(environments: Path, target: str, checkout: Path = CHECKOUT) -> Path:
    """Make the environment of a target, as if it were at its place in the image, unless one of this lock is there.

    Args:
        environments: folder of the environments, one for each target.
        target: of the Dockerfile.
        checkout: with the lock of the target.
    """
    folder, made_of = environments / target, environments / f"{target}.lock"
    lock = (checkout / "docker" / f"requirements-{target}.lock").read_bytes()
    if folder.exists() and made_of.exists() and made_of.read_bytes() == lock:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    partial = folder.with_name(f"{target}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    options = ["--link-mode", "copy", "--compile-bytecode"]
    install_lock(target, partial, venv_options=["--seed"], options=options, checkout=checkout)
    _relocate(partial, Path(PLACES[target]))
    partial.rename(folder)
    made_of.write_bytes(lock)
    return folder


def install_lock(
    target: str,
    folder: Path,
    *,
    venv_options: Sequence[str] = (),
    options: Sequence[str] = (),
    checkout: Path = CHECKOUT,
) -> Path:
    """Make an environment with the packages of an image, from its lock, and nothing else.

    Args:
        target: of the Dockerfile.
        folder: of the environment.
        venv_options: of ``uv venv``.
        options: of ``uv pip install``.
        checkout: with the lock.

    Returns:
        Its interpreter.

    Raises:
        ConfigurationError: uv is not installed.
        StackError: a package cannot be installed.
    """
    lock = checkout / "docker" / f"requirements-{target}.lock"
    environment = {**inherited_environment(), "UV_PYTHON_DOWNLOADS": "never"}
    uv, python = find_uv(), folder / "bin" / "python"
    run([uv, "venv", "--quiet", *venv_options, "--python", sys.executable, folder], environment=environment)
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "--no-deps"]
    run([*install, *options, "--requirement", lock], environment=environment, remedy="Check the network and try again.")
    return python


def _relocate(environment: Path, place: Path) -> None:
    """Correct links and first lines of programs for another place and the interpreter in /usr/local."""
    for name in ("python", "python3", "python3.11"):
        link = environment / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to("/usr/local/bin/python3.11" if name == "python" else "python")
    settings = environment / "pyvenv.cfg"
    settings.write_text(re.sub(r"^home = .*$", "home = /usr/local/bin", settings.read_text(), flags=re.MULTILINE))
    for program in (environment / "bin").iterdir():
        content = b"" if program.is_symlink() else program.read_bytes()
        if content.startswith((b"#!", b"'''exec")):
            program.write_bytes(content.replace(str(environment).encode(), str(place).encode()))


def find_uv() -> str:
    """Return the path of the uv that ``make setup`` uses.

    Raises:
        ConfigurationError: it is not installed.
    """
    uv = shutil.which("uv") or str(CHECKOUT / ".tools" / "bin" / "uv")
    if not Path(uv).exists():
        raise ConfigurationError("uv", "it is not installed", "Run `make setup`.")
    return uv
