"""The first start: ports, jobs, health, and commands without jobs."""

from __future__ import annotations

import socket
from typing import Any

from confluent_kafka.admin import AdminClient

from local.containers.checks.system import System, require, status_of
from local.containers.project import seconds_of
from moderation.adapters.kafka.connection import KafkaConnection

JOBS = ("mlflow-migrate", "mlflow-accounts", "migrate", "topics", "certify")
SERVERS = ("kafka", "postgres", "object-store", "mlflow")


def taken_port(system: System) -> dict[str, Any]:
    """A taken port: `up` names it; another one in ``.env`` helps."""
    project = system.project
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        project.write_env(KAFKA_PORT=port)
        code, said = project.try_compose("up", "--detach", "--no-build", "--pull", "never", "kafka")
        require(code != 0 and str(port) in said and "in use" in said, f"`up` with a taken port said: {said[-300:]}")
    project.write_env()
    return {"exit_code": code, "message": "address already in use"}


def first_start(system: System) -> dict[str, Any]:
    """Jobs end with 0; servers and the worker, which waits for its first model, become healthy."""
    project = system.project
    seconds = seconds_of(project.up)
    project.wait_healthy("worker", seconds=180)
    jobs = {name: project.containers(name)[0]["State"]["ExitCode"] for name in JOBS}
    require(set(jobs.values()) == {0}, f"jobs ended with {jobs}")
    health = {name: project.health(name)[0] for name in SERVERS}
    require(set(health.values()) == {"healthy"}, f"health is {health}")
    worker = project.containers("worker")[0]
    line = worker["State"]["Health"]["Log"][-1]["Output"].strip()
    require("no model serves yet" in line, f"the worker's health check printed {line!r}")
    networks = [network.rpartition("_")[2] for network in worker["NetworkSettings"]["Networks"]]
    require(networks == ["servers"], f"the worker is in the networks {networks}, so it may reach the object store")
    return {"seconds": seconds, "jobs": jobs, "health": health, "worker": line, "networks_of_the_worker": networks}


def published_ports(system: System) -> dict[str, Any]:
    """MLflow and Kafka respond on the ports of ``.env``; MLflow refuses other host names."""
    ports = system.project.ports
    mlflow = f"http://127.0.0.1:{ports['MLFLOW_PORT']}"
    status = status_of(f"{mlflow}/health")
    refused = status_of(f"{mlflow}/api/2.0/mlflow/experiments/search", host="elsewhere")
    kafka = KafkaConnection.plaintext(f"127.0.0.1:{ports['KAFKA_PORT']}")
    topics = AdminClient(kafka.librdkafka()).list_topics(timeout=20)
    brokers = [f"{each.host}:{each.port}" for each in topics.brokers.values()]
    require(status == 200 and refused == 403, f"MLflow answered {status}, and {refused} to another host name")
    require(brokers == [f"127.0.0.1:{ports['KAFKA_PORT']}"], f"Kafka advertises {brokers}")
    return {"mlflow": status, "mlflow_for_another_host_name": refused, "topics": len(topics.topics)}


def jobs_without_no_deps(system: System) -> dict[str, Any]:
    """``docker compose run`` runs the jobs first; with ``--no-deps`` it does not."""
    project = system.project

    def starts() -> dict[str, str]:
        return {name: project.containers(name)[0]["State"]["StartedAt"] for name in JOBS}

    before = starts()
    seconds_with_jobs = seconds_of(lambda: project.compose("run", "--rm", "-T", "moderation", "--version"))
    after = starts()
    require("topics" in {name for name in JOBS if after[name] != before[name]}, "`run` ran no jobs")
    seconds = seconds_of(lambda: project.moderation("--version"))
    require(starts() == after, "`run --no-deps` ran jobs")
    return {"seconds_with_jobs": seconds_with_jobs, "seconds": seconds}
