"""The lock contains no addresses, and the core imports with its declared dependencies only."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()


# Adapters need the client of their server, and plots need matplotlib; the extras install both.
NEED_AN_EXTRA = (
    "moderation.adapters.kafka.access",
    "moderation.adapters.kafka.acknowledged_sender",
    "moderation.adapters.kafka.acls",
    "moderation.adapters.kafka.connection",
    "moderation.adapters.kafka.oauth_token",
    "moderation.adapters.kafka.own_permissions",
    "moderation.adapters.kafka.permissions",
    "moderation.adapters.lake.archive_delay",
    "moderation.adapters.kafka.batch_headers",
    "moderation.adapters.kafka.broker_errors",
    "moderation.adapters.error_origin",
    "moderation.adapters.promotion_checks",
    "moderation.adapters.promotion_log",
    "moderation.adapters.registry",
    "moderation.adapters.bisection",
    "moderation.adapters.kafka.group_readers",
    "moderation.adapters.kafka.log_sizes",
    "moderation.adapters.reconciliation",
    "moderation.adapters.kafka.producer_keys",
    "moderation.adapters.kafka.republisher",
    "moderation.adapters.kafka.row_records",
    "moderation.adapters.kafka.topics",
    "moderation.adapters.kafka.topic_identity",
    "moderation.adapters.sql",
    "moderation.adapters.kafka.replay_producer",
    "moderation.adapters.kafka.end_offsets",
    "moderation.adapters.kafka.committed_reader",
    "moderation.adapters.kafka.open_transactions",
    "moderation.adapters.kafka.batch_unpacker",
    "moderation.adapters.kafka.record_batches",
    "moderation.adapters.kafka.topic_reader",
    "moderation.adapters.lake",
    "moderation.training.plots",
    "moderation.training.corpus_report",
)


def core_closure() -> set[str]:
    """Distributions that an installation of the core alone contains, by canonical name."""
    names: set[str] = set()
    waiting = [Requirement(text) for text in PROJECT["dependencies"]]
    while waiting:
        requirement = waiting.pop()
        extras = requirement.extras or {""}
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        name = canonicalize_name(requirement.name)
        if name in names:
            continue
        names.add(name)
        for text in distribution(name).requires or []:
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(inner)
    return names


@pytest.mark.budget(20)
def test_the_core_imports_with_its_declared_dependencies_alone() -> None:
    core = core_closure()
    modules = {
        module
        for module, owners in packages_distributions().items()
        if not {canonicalize_name(owner) for owner in owners} & (core | {"comment-moderation"})
    }
    assert {"airflow", "faust", "mlflow", "sqlalchemy", "pyarrow"} <= modules
    program = (
        "import sys, importlib, pkgutil\n"
        f"absent = {sorted(modules)!r}\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in absent: raise ModuleNotFoundError(f'no {name}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import moderation, cli.main\n"
        f"extras = {NEED_AN_EXTRA!r}\n"
        "names = [m.name for m in pkgutil.walk_packages(moderation.__path__, 'moderation.')]\n"
        "names = [name for name in names if not name.startswith(extras)]\n"
        "assert len(names) > 30, names\n"
        "for name in names:\n"
        "    try: importlib.import_module(name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        raise SystemExit(f'{name} needs {error.name}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_lock_contains_hashes_and_no_addresses() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^\s*--(index|extra-index|find-links|trusted)", LOCK, re.MULTILINE)
    pinned = re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==[^ ]+", LOCK, re.MULTILINE)
    blocks = re.split(r"\n(?=[a-z0-9])", LOCK)
    assert len(pinned) == len([block for block in blocks if "==" in block]) > 100
    assert all("--hash=sha256:" in block for block in blocks if "==" in block)


def test_every_declared_dependency_is_locked() -> None:
    locked = {
        canonicalize_name(name) for name in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==", LOCK, re.MULTILINE)
    }
    extras = PROJECT["optional-dependencies"].values()
    declared = [Requirement(text) for text in [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]]
    assert {canonicalize_name(requirement.name) for requirement in declared} <= locked


@pytest.mark.parametrize(
    "name", ["LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile", ".ci/run"]
)
def test_the_usual_files_of_a_repository_exist(name: str) -> None:
    assert (ROOT / name).stat().st_size > 100


def test_mlflow_the_folder_never_shadows_mlflow_the_package() -> None:
    assert not list((ROOT / "mlflow").glob("**/*.py"))


def test_no_python_file_has_more_than_400_lines() -> None:
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    long = [name for name in tracked.stdout.split() if len((ROOT / name).read_text().splitlines()) > 400]
    assert long == []
