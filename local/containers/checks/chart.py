"""Pods of the chart in the engine: the jobs before an installation, and a worker."""

from __future__ import annotations

import json
from typing import Any

import yaml

from local.containers.checks.system import System, require
from local.containers.engine import docker
from local.containers.folders import CHECKOUT
from local.containers.pods import Namespace, Object, run_command, run_options
from local.containers.project import NAME, seconds_of
from local.stack.wait import wait_until

CHART = CHECKOUT / "helm" / "comment-moderation"
_ASSIGNED_USER = 1_000_660_000
"""A user of the range that OpenShift assigns to a namespace."""
_WORKER = f"{NAME}-pod"


def pods_of_the_chart(system: System) -> dict[str, Any]:
    """Jobs of the chart succeed, and its worker decides: as the chart's user, and as one that a platform assigns."""
    project = system.project
    project.compose("stop", "worker", "source")
    seen: dict[str, Any] = {}
    try:
        for name, platform in (("default", {}), ("openshift", _openshift())):
            objects = rendered(values_of(system, platform))
            seen[name] = _run(system, objects, _ASSIGNED_USER if platform else None)
    finally:
        project.up("worker")
        project.wait_healthy("worker", len(project.containers("worker")))
    return seen


def _run(system: System, objects: list[Object], assigned_user: int | None) -> dict[str, Any]:
    """Run the jobs in the order of their weights, then the worker until it has decided; return what was seen."""
    folders = system.folders
    namespace = Namespace(secrets_of(system), folders.work / "pods", assigned_user)
    jobs = sorted(
        (each for each in objects if each["kind"] == "Job"),
        key=lambda each: int(each["metadata"]["annotations"]["helm.sh/hook-weight"]),
    )
    network = ["--network", f"{NAME}_servers"]
    seconds = {}
    for job in jobs:
        pod = job["spec"]["template"]["spec"]
        command = ["run", "--rm", *network, *run_options(pod, namespace), *run_command(pod)]
        seconds[job["metadata"]["name"]] = seconds_of(lambda command=command: docker(folders, *command))
    deployment = next(each for each in objects if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    docker(folders, "run", "--detach", "--name", _WORKER, *network, *run_options(pod, namespace), *run_command(pod))
    try:
        ready = wait_until(
            lambda: system.project.ask_worker(_WORKER, "/ready").get("ready") is True,
            seconds=180,
            description="the chart's worker",
            interval_seconds=1.0,
        )
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = pod["containers"][0][probe]["httpGet"]["path"]
            require(bool(system.project.ask_worker(_WORKER, path)), f"{probe} of the worker's pod fails at {path}")
        system.project.up("source", profiles=["traffic"])
        system.wait_for_decisions(100)
        system.project.compose("stop", "source")
        stopped = seconds_of(lambda: docker(folders, "stop", _WORKER))
        state = json.loads(docker(folders, "inspect", _WORKER))[0]
    finally:
        docker(folders, "rm", "--force", _WORKER)
    require(state["State"]["ExitCode"] == 0, f"the worker's pod ended with {state['State']['ExitCode']}")
    system.require_once()
    return {
        "user": state["Config"]["User"],
        "seconds_of_jobs": seconds,
        "seconds_until_ready": round(ready, 1),
        "seconds_to_stop": stopped,
    }


def rendered(values: Object) -> list[Object]:
    """Return the objects of the chart."""
    import helm_python  # of the development environment

    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        texts = chart.render(values, name="moderation", namespace="moderation", is_install=True)
    files = [text for path, text in texts.items() if path.endswith(".yaml")]
    return [document for text in files for document in yaml.safe_load_all(text) if document]


def values_of(system: System, platform: Object) -> Object:
    """Return values of the chart for the servers of docker-compose.yaml."""
    return {
        **platform,
        "kafka": {"bootstrap": "kafka:9092"},
        "database": {"existingSecret": "moderation-database", "ownerSecret": "moderation-database-owner"},
        "certificate": {
            "verifyKeys": [system.project.value("MODERATION_VERIFY_KEYS")],
            "existingSecret": "moderation-certificate",
        },
        "exploration": {"existingSecret": "moderation-exploration"},
        "httpToken": {"existingSecret": "moderation-http"},
        "mlflow": {"url": "http://mlflow:5000", "existingSecret": "moderation-mlflow"},
        "hooks": {"certify": {"mlflowSecret": "moderation-mlflow-batch"}},
    }


def _openshift() -> Object:
    values: Object = yaml.safe_load((CHART / "examples" / "openshift.yaml").read_text())
    return {"podSecurityContext": values["podSecurityContext"]}


def secrets_of(system: System) -> dict[str, dict[str, str]]:
    """Return the Secrets that docs/kubernetes.md lists, with the values of ``.env``."""
    value = system.project.value
    server = "postgres:5432/moderation"
    worker = f"postgresql://worker:{value('POSTGRES_WORKER_PASSWORD')}@{server}"
    owner = f"postgresql://moderation:{value('POSTGRES_MODERATION_PASSWORD')}@{server}"
    return {
        "moderation-database": {"url": worker},
        "moderation-database-owner": {"url": owner},
        "moderation-certificate": {"signing-key": value("MODERATION_SIGNING_KEY")},
        "moderation-exploration": {"key": value("MODERATION_EXPLORATION_KEY")},
        "moderation-http": {"token": value("MODERATION_HTTP_TOKEN")},
        "moderation-mlflow": {"username": "worker", "password": value("MLFLOW_WORKER_PASSWORD")},
        "moderation-mlflow-batch": {"username": "batch", "password": value("MLFLOW_BATCH_PASSWORD")},
    }
