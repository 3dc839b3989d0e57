"""Backup and restore as docs/deploy.md describes them."""

from __future__ import annotations

from typing import Any

from local.containers.checks.system import System, require
from local.containers.engine import docker
from local.containers.folders import Folders
from local.containers.project import Project
from local.containers.stand_ins import DEBIAN
from local.stack.wait import wait_until

_ARCHIVE = "objects.tar.gz"
_NOT_ACCEPTED = 1
_EXPECTED = ("current user cannot be dropped", 'role "postgres" already exists')
"""Errors of a restore that docs/deploy.md names."""


def backup_and_restore(system: System) -> dict[str, Any]:
    """A backup, all volumes removed, a restore; the lake verifies, workers and archive go on with the new topics."""
    project = system.project
    project.compose("stop", "source")
    wait_until(system.nothing_waits, seconds=240, description="workers without lag", interval_seconds=2.0)
    decisions = system.decisions()
    seen: dict[str, Any] = {"backup_bytes": backup(system.folders, project)}
    project.compose("down", "--volumes")
    errors = restore(system.folders, project)
    unexpected = [error for error in errors if error not in _EXPECTED]
    require(not unexpected, f"psql printed {unexpected}")
    seen |= {"errors_of_the_restore": errors, "decisions": system.decisions()}
    require(seen["decisions"] == decisions, f"{decisions} decisions before, {seen['decisions']} after")
    project.up()
    project.moderation("lake", "claim", "--yes", "--reason", "restored from a backup")
    project.moderation("lake", "verify")
    project.compose("stop", "worker")
    code, said = project.try_compose("run", "--rm", "--no-deps", "-T", "moderation", "accept-gap")
    require(code == _NOT_ACCEPTED, f"accept-gap ended with {code} and said {said[-500:]}")
    project.moderation("accept-gap", "--yes", "--reason", "restored from a backup")
    seen["lake"] = project.moderation("accept-gap", "--lake", "--yes", "--reason", "restored from a backup").strip()
    project.compose("start", "worker")
    project.wait_healthy("worker", len(project.containers("worker")))
    counted = system.counted()
    project.up("source", profiles=["traffic"])
    seen["seconds_until_new_decisions"] = round(system.wait_for_decisions(50), 1)
    project.compose("stop", "source")
    project.moderation("archive")
    project.moderation("lake", "verify")
    system.require_once(counted)
    return seen


def backup(folders: Folders, project: Project) -> int:
    """Dump the database, then copy the object store; return the bytes of both."""
    dump = project.compose("exec", "-T", "postgres", "pg_dumpall", "--username", "postgres", "--clean", "--if-exists")
    path = folders.compose_project / "backup.sql"
    path.write_text(dump)
    path.chmod(0o600)
    project.compose("stop", "object-store")
    _tar(folders, project, "-czf", f"/backup/{_ARCHIVE}", ".")
    project.compose("start", "object-store")
    return path.stat().st_size + (folders.compose_project / _ARCHIVE).stat().st_size


def restore(folders: Folders, project: Project) -> list[str]:
    """Restore both into empty volumes; return the errors that psql printed."""
    project.up("postgres")
    project.wait_healthy("postgres")
    dump = (folders.compose_project / "backup.sql").read_bytes()
    printed = project.restore_dump(dump)
    project.compose("create", "--no-build", "object-store")
    _tar(folders, project, "-xzf", f"/backup/{_ARCHIVE}")
    return [line.partition("ERROR:")[2].strip() for line in printed.splitlines() if "ERROR:" in line]


def _tar(folders: Folders, project: Project, *arguments: str) -> None:
    container = project.compose("ps", "--all", "--quiet", "object-store").strip()
    volumes = ["--volumes-from", container, "--volume", f"{folders.compose_project}:/backup"]
    docker(folders, "run", "--rm", "--network", "none", *volumes, DEBIAN, "tar", "-C", "/objects", *arguments)
