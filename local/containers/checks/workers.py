"""Workers: they share partitions, park, and stop under load."""

from __future__ import annotations

import json
from typing import Any

from local.containers.checks.system import System, json_of, require
from local.containers.engine import docker
from local.containers.project import NAME, seconds_of
from local.stack.wait import wait_until

_KILLED = 137


def two_workers(system: System) -> dict[str, Any]:
    """Two workers share the partitions and decide what the source sends."""
    project = system.project
    project.write_env(MODERATION_WORKERS=2)
    project.up("worker")
    project.up("source", profiles=["traffic"])
    project.wait_healthy("worker", 2)
    wait_until(
        system.partitions_are_shared, seconds=120, description="both workers with partitions", interval_seconds=2
    )
    system.wait_for_decisions(1_000)
    return {"partitions": system.partitions(), "decisions": system.decisions()}


def prometheus(system: System) -> dict[str, Any]:
    """Prometheus finds and reads both workers."""
    project = system.project
    project.up("prometheus", profiles=["monitoring"])
    project.wait_healthy("prometheus")
    query = "query=up%7Bjob%3D%22moderation-worker%22%7D"
    url = f"http://127.0.0.1:{project.ports['PROMETHEUS_PORT']}/api/v1/query?{query}"

    def values() -> list[str]:
        return [each["value"][1] for each in json_of(url)["data"]["result"]]

    seconds = wait_until(
        lambda: values() == ["1", "1"], seconds=120, description="two workers in Prometheus", interval_seconds=2.0
    )
    return {"workers": len(values()), "seconds": round(seconds, 1)}


def parked_worker(system: System) -> dict[str, Any]:
    """A worker that ended with 78 is unhealthy within three minutes, and its container stays."""
    name = f"{NAME}-parked"
    options = ["--detach", "--no-deps", "--name", name, "--env", "MODERATION_ALIAS_POLL_SECONDS=never"]
    system.project.compose("run", *options, "worker")
    try:

        def state() -> Any:
            return json.loads(docker(system.folders, "inspect", name))[0]["State"]

        seconds = wait_until(
            lambda: state()["Health"]["Status"] == "unhealthy",
            seconds=200,
            description="an unhealthy parked worker",
            interval_seconds=2.0,
        )
        line = state()["Health"]["Log"][-1]["Output"].strip()
        require("ended with 78" in line, f"its health check printed {line!r}")
        require(state()["Status"] == "running", "its container ended")
    finally:
        docker(system.folders, "rm", "--force", name)
    return {"seconds": round(seconds, 1), "line": line}


def stop_under_load(system: System) -> dict[str, Any]:
    """Every service ends by itself within its grace, while the source sends; the workers end first."""
    project = system.project
    counted = system.counted()
    project.up("source", profiles=["traffic"])
    system.wait_for_decisions(100)
    seen = {}
    for name in ("worker", "object-store", "mlflow", "kafka", "postgres"):
        seconds = seconds_of(lambda name=name: project.compose("stop", name))
        codes = [each["State"]["ExitCode"] for each in project.containers(name)]
        require(_KILLED not in codes, f"{name} was killed after {seconds} s")
        seen[name] = {"seconds": seconds, "exit_codes": codes}
    project.compose("stop", "source")
    project.up(profiles=["batch"])
    project.wait_healthy("worker", 2)
    system.require_once(counted)
    return seen
