"""Backup and restore as docs/deploy.md describes them."""

from __future__ import annotations

from local.containers.engine import docker
from local.containers.folders import Folders
from local.containers.project import Project
from local.containers.stand_ins import DEBIAN

_ARCHIVE = "objects.tar.gz"


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
