"""The images run in a Docker Engine: jobs, health, a model from the registry, decisions, a restart after a kill."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.containers import __main__ as containers
from local.containers import engine, network
from local.containers.folders import Folders
from moderation.errors import ConfigurationError

# It takes nine minutes on two cores, and depends on mirrors of Debian. `make containers-test` has the full run.
pytestmark = [pytest.mark.proof, pytest.mark.alone, pytest.mark.timeout(1_500)]


@pytest.fixture
def folders() -> Iterator[Folders]:
    """A work folder whose engine is stopped at the end, with the machine's network as it was before."""
    try:
        engine.check_machine()
    except ConfigurationError as error:
        pytest.skip(f"this machine cannot run a Docker Engine: {error}")
    # A short path: the address of the engine's socket has at most 107 characters.
    folders = Folders(Path(tempfile.mkdtemp(prefix="containers-", dir="/var/tmp")))
    try:
        yield folders
    finally:
        differences = containers.down(folders)
        shutil.rmtree(folders.work)
    assert differences == []


@pytest.mark.budget(600)
def test_jobs_workers_and_registry_work_in_containers_and_the_network_is_restored(folders: Folders) -> None:
    containers.build(folders, fast=True, short=True)
    before = network.NetworkSettings(**json.loads(folders.state.read_text())["network"])
    assert containers.try_out(folders, fast=True, short=True) == []
    checks = json.loads(folders.outcome.read_text())["checks"]
    assert checks["bootstrap_model"]["seen"]["decisions"] == 400
    assert containers.down(folders) == []
    assert network.read(folders) == before
    interfaces = subprocess.run(["ls", "/sys/class/net"], capture_output=True, text=True, check=True).stdout.split()
    assert "docker0" not in interfaces or "docker0" in before.interfaces
