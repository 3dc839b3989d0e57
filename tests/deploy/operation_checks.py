"""Rules for the operation of docker-compose.yaml: ports, health checks, stops. Each check returns complaints."""

from __future__ import annotations

import re

from tests.deploy.compose_checks import JOBS
from tests.deploy.files import COMPOSE, Files

PORTS = {"mlflow": "MLFLOW_PORT", "airflow-api-server": "AIRFLOW_PORT", "grafana": "GRAFANA_PORT"} | {
    "prometheus": "PROMETHEUS_PORT",
    "kafka": "KAFKA_PORT",
}
"""The variable with the published port of each service that has one."""
_FIRST_PORT = 41_000
_STOP_SECONDS = {"object-store": 60, "worker": 60, "kafka": 60, "postgres": 60}
"""Least stop grace: SeaweedFS took up to 26 s in containers; the others finish batches and close their logs."""
_MOST_UNNOTICED_SECONDS = 180
"""Longest time until a worker that `park` keeps from its start is shown as unhealthy."""


def fixed_ports(files: Files) -> list[str]:
    """Published ports that no variable sets, and addresses of a published port that ignore the variable."""
    ports = {name: _FIRST_PORT + number for number, name in enumerate(PORTS)}
    defaults, services = (
        files.services,
        files.services_with("\n".join(f"{PORTS[name]}={ports[name]}" for name in ports)),
    )
    complaints, own = [], {}
    for name, service in services.items():
        for before, each in zip(defaults[name].get("ports", []), service.get("ports", []), strict=True):
            own[str(before["published"])] = name
            if each["published"] != str(ports.get(name)):
                complaints.append(f"service {name}: no variable sets its port {each['published']}")
    for name, service in services.items():
        texts = [*map(str, service.get("environment", {}).values()), *map(str, service.get("command") or [])]
        for port in re.findall(r"(?:127\.0\.0\.1|localhost):(\d+)", " ".join(texts)):
            if port in own:
                complaints.append(f"service {name}: it names port {port} of {own[port]}, which {PORTS[own[port]]} sets")
    needed = {
        "mlflow": ("MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"),
        "airflow-api-server": ("AIRFLOW__API__BASE_URL",),
        "grafana": ("GF_SERVER_ROOT_URL",),
        "kafka": ("KAFKA_ADVERTISED_LISTENERS",),
    }
    for name, keys in needed.items():
        for key in keys:
            if f":{ports[name]}" not in services[name]["environment"].get(key, ""):
                complaints.append(f"service {name}: {key} does not contain its published port")
    return complaints


def costly_health_checks(files: Files) -> list[str]:
    """Health checks that start a Java machine, which takes seconds of CPU time with the broker's heap."""
    return [
        f"service {name}: its health check starts Java: {test}"
        for name, service in files.services.items()
        if re.search(r"/bin/kafka-|\bjava\b", test := " ".join(service.get("healthcheck", {}).get("test", [])))
    ]


def hidden_stops(files: Files) -> list[str]:
    """Health checks of a worker that show too late, or not at all, that `park` keeps its container."""
    worker = files.services["worker"]
    check = worker["healthcheck"]
    seconds = {key: _seconds(check[key]) for key in ("start_period", "interval")}
    latest = seconds["start_period"] + check["retries"] * seconds["interval"]
    complaints = []
    if worker["command"][0] == "park" and check["test"][1] != "worker-health":
        complaints.append(f"service worker: its health check does not ask park: {check['test']}")
    if latest > _MOST_UNNOTICED_SECONDS:
        complaints.append(f"service worker: a parked worker is unhealthy after {latest} s")
    return complaints


def short_stops(files: Files) -> list[str]:
    """Services that are killed before they have stopped."""
    complaints = []
    for name, least in _STOP_SECONDS.items():
        grace = _seconds(files.services[name].get("stop_grace_period", "10s"))
        if grace < least:
            complaints.append(f"service {name}: it is killed after {grace} s, and may need {least} s")
    return complaints


def unlabelled_builds(files: Files) -> list[str]:
    """Builds that pass no commit, time and repository to the image's labels."""
    return [
        f"service {name}: its build has no argument {argument}"
        for name, service in files.services.items()
        if "build" in service and name not in JOBS
        for argument in ("REVISION", "CREATED", "SOURCE")
        if argument not in service["build"].get("args", {})
    ]


def _seconds(duration: str) -> int:
    """Seconds of a duration as Compose prints it, e.g. ``1m30s``."""
    factors = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * factors[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))


CHECKS = (fixed_ports, costly_health_checks, hidden_stops, short_stops, unlabelled_builds)
BREAKS = (
    (fixed_ports, COMPOSE, '"127.0.0.1:${MLFLOW_PORT:-5000}:5000"', '"127.0.0.1:5000:5000"'),
    (fixed_ports, COMPOSE, "localhost:${MLFLOW_PORT:-5000}\n", "localhost:5000\n"),
    (fixed_ports, COMPOSE, "EXTERNAL://127.0.0.1:${KAFKA_PORT:-29092}", "EXTERNAL://127.0.0.1:29092"),
    (fixed_ports, COMPOSE, "  AIRFLOW__API__BASE_URL: http://127.0.0.1:${AIRFLOW_PORT:-8080}\n", ""),
    (fixed_ports, COMPOSE, "      GF_SERVER_ROOT_URL: http://127.0.0.1:${GRAFANA_PORT:-3000}/\n", ""),
    (costly_health_checks, COMPOSE, "exec 3<>/dev/tcp/127.0.0.1/9092", "/opt/kafka/bin/kafka-topics.sh --list"),
    (hidden_stops, COMPOSE, "[CMD, worker-health, ", "[CMD, curl, "),
    (
        hidden_stops,
        COMPOSE,
        "timeout: 10s\n      retries: 4\n      start_period: 90s",
        "retries: 40\n      start_period: 90s",
    ),
    (short_stops, COMPOSE, "    # A stop takes 20 to 26 s.\n    stop_grace_period: 60s\n", ""),
    (unlabelled_builds, COMPOSE, "target: worker, args: *build-args", "target: worker"),
)
"""Alterations that a check must detect: the check, the file, the text and its replacement."""
