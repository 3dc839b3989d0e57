"""Containers are killed, and Docker restarts them."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

from local.containers.checks.batch_layer import SERVICES, healthy_airflow, run_dag
from local.containers.checks.system import System
from local.stack.wait import wait_until

_SERVERS = ("kafka", "postgres", "object-store", "mlflow", "prometheus")
_NO_HEALTH_CHECK = ("source",)


def killed_worker(system: System) -> dict[str, Any]:
    """A killed worker is restarted and goes on; each offset is stored once."""
    project = system.project
    project.up("source", profiles=["traffic"])
    system.wait_for_decisions(100)
    counted = system.counted()
    seconds = kill(system, ["worker"])
    _wait_for_workers(system)
    system.wait_for_decisions(200)
    system.require_once(counted)
    return {"seconds_until_healthy": round(seconds, 1), "decisions": system.decisions()}


def killed_servers(system: System) -> dict[str, Any]:
    """Every other container is killed under load, and restarted; decisions go on, each offset is stored once."""
    project = system.project
    project.up("source", profiles=["traffic"])
    system.wait_for_decisions(100)
    counted = system.counted()
    seen: dict[str, Any] = {}
    for services in (*((name,) for name in (*_SERVERS, *_NO_HEALTH_CHECK)), SERVICES):
        seconds = kill(system, services)
        decisions = system.wait_for_decisions(100)
        key = "airflow" if services == SERVICES else services[0]
        seen[key] = {"seconds_until_healthy": round(seconds, 1), "seconds_until_decisions": round(decisions, 1)}
    _wait_for_workers(system)
    run_dag(healthy_airflow(system), "archive_topics")
    system.require_once(counted)
    return {**seen, "decisions": system.decisions()}


def kill(system: System, services: Sequence[str]) -> float:
    """Kill the first container of each service; return the seconds until all are restarted and healthy.

    Args:
        system: with a container of each.
        services: names in the compose file.
    """
    killed = {name: system.project.containers(name)[0] for name in services}
    for container in killed.values():
        os.kill(container["State"]["Pid"], signal.SIGKILL)

    def is_back(name: str) -> bool:
        before = killed[name]
        now = next(each for each in system.project.containers(name) if each["Id"] == before["Id"])
        health = now["State"].get("Health", {}).get("Status")
        is_healthy = now["State"]["Running"] if name in _NO_HEALTH_CHECK else health == "healthy"
        return bool(now["RestartCount"] == before["RestartCount"] + 1 and is_healthy)

    return wait_until(
        lambda: all(map(is_back, services)),
        seconds=240,
        description=f"{', '.join(services)} after a kill",
        interval_seconds=1.0,
    )


def _wait_for_workers(system: System) -> None:
    if len(system.project.containers("worker")) == 2:
        wait_until(
            system.partitions_are_shared, seconds=120, description="both workers with partitions", interval_seconds=2
        )
