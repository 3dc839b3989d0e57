"""PostgreSQL's volume is full, and then is not."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

from local.containers.checks.system import System, require
from local.containers.engine import docker, run_inside
from local.containers.project import NAME
from local.containers.stand_ins import DEBIAN
from local.stack.wait import wait_until
from moderation.errors import StackError

_FREE_MEGABYTES = 300
_BALLAST = "ballast"
_QUARANTINED = "SELECT count(*) FROM speed.dead_letters WHERE reason = 'processing_failed'"
_MESSAGE = re.compile(r"No space left on device|could not extend file|disk full", re.IGNORECASE)


def full_volume(system: System) -> dict[str, Any]:
    """With a full volume nothing is lost or left out; after space is free the workers go on by themselves."""
    project, small = system.project, system.folders.small_volume
    _move_to_small_volume(system)
    try:
        project.up()
        project.wait_healthy("worker", len(project.containers("worker")))
        project.up("source", profiles=["traffic"])
        system.wait_for_decisions(100)
        counted = system.counted()
        with contextlib.suppress(StackError):  # it ends with an error once nothing is free
            run_inside(system.folders, ["dd", "if=/dev/zero", f"of={small / _BALLAST}", "bs=64k", "status=none"])
        seen = _seen_when_full(system)
        (small / _BALLAST).unlink(missing_ok=True)
        run_inside(system.folders, ["rm", "--force", small / _BALLAST])
        project.wait_healthy("postgres")
        seen["seconds_until_new_decisions"] = round(system.wait_for_decisions(200), 1)
        project.wait_healthy("worker", len(project.containers("worker")))
        system.require_once(counted)
        seen["quarantined"] = project.count(_QUARANTINED)
        require(seen["quarantined"] == 0, f"{seen['quarantined']} records were quarantined for a full volume")
        return seen
    finally:
        project.compose("down")
        project.files = project.files[:1]
        run_inside(system.folders, ["umount", small])


def _seen_when_full(system: System) -> dict[str, Any]:
    """Wait until the log of a worker names the cause; return what operators see."""
    project = system.project

    def message() -> str:
        lines = project.log_of("worker").splitlines()
        return next((line for line in reversed(lines) if _MESSAGE.search(line)), "")

    seconds = wait_until(
        lambda: bool(message()), seconds=240, description="a worker's message of the full volume", interval_seconds=2.0
    )
    postgres = project.containers("postgres")[0]
    workers = project.containers("worker")
    parked = [each["Name"] for each in workers if "ended with 78" in project.log_of("worker")]
    require(not parked, f"{parked} stopped for an operator, who has nothing to correct in them")
    return {
        "seconds_until_the_message": round(seconds, 1),
        "message_of_the_worker": message()[:400],
        "message_of_postgres": next(
            (line for line in reversed(project.log_of("postgres").splitlines()) if _MESSAGE.search(line)), ""
        )[:200],
        "postgres": {"status": postgres["State"]["Status"], "restarts": postgres["RestartCount"]},
        "workers": [each["State"].get("Health", {}).get("Status") for each in workers],
    }


def _move_to_small_volume(system: System) -> None:
    """Stop the system, and copy PostgreSQL's files to a file system with little free space."""
    project, small = system.project, system.folders.small_volume
    project.compose("down")
    volume = f"{NAME}_postgres-data"
    used = docker(system.folders, "run", "--rm", "--volume", f"{volume}:/from:ro", DEBIAN, "du", "-sm", "/from")
    size = int(used.split()[0]) + _FREE_MEGABYTES
    small.mkdir(exist_ok=True)
    run_inside(system.folders, ["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", small])
    volumes = ["--volume", f"{volume}:/from:ro", "--volume", f"{small}:/to"]
    docker(system.folders, "run", "--rm", *volumes, DEBIAN, "cp", "--archive", "/from/.", "/to/")
    override = system.folders.compose_project / "small-volume.json"
    override.write_text(json.dumps({"services": {"postgres": {"volumes": [f"{small}:/var/lib/postgresql"]}}}))
    project.files = [*project.files, override]
