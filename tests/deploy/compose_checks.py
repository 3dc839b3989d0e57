"""Rules for docker-compose.yaml, alone and with TLS. Each check returns complaints; none means that it passes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.deploy.files import COMPOSE, EXAMPLE, TLS_COMPOSE, Files, Service

JOBS = frozenset({"certificates", "mlflow-migrate", "mlflow-accounts", "migrate", "topics", "certify", "airflow-init"})
BY_HAND = frozenset({"moderation", "retire", "source"})
"""Services that an operator starts, without ports."""
_SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY(?!STORE)|CONN\b|_URI|DATABASE_URL|JAAS")
_OF_COMPOSE = frozenset({"COMPOSE_FILE"})
"""Variables of Compose itself, which no compose file names."""
_PASSED = re.compile(r"\$\$\{?\w*(PASSWORD|SECRET|TOKEN|KEY|URI|URL)")
_VARIABLE = re.compile(r"\$\{(\w+)(:?[-?+])?([^}]*)\}")


def not_hardened(files: Files) -> list[str]:
    """Services with more rights, or fewer limits, than they should have."""
    complaints = []
    for name, service in files.services.items():
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        wanted = {
            "its root file system can be written": service.get("read_only") is True,
            "it keeps capabilities": service.get("cap_drop") == ["ALL"] and not service.get("cap_add"),
            "it may gain privileges": service.get("security_opt") == ["no-new-privileges:true"],
            "it is privileged": not service.get("privileged"),
            "it uses the host's network": service.get("network_mode") in (None, "none"),
            "its log grows without end": "max-size" in service.get("logging", {}).get("options", {}),
            "it has no limit of memory": "memory" in limits,
            "it has no limit of CPU": "cpus" in limits,
            "it has no limit of processes": "pids" in limits,
            "it has no writable /tmp": any(each.split(":")[0] == "/tmp" for each in service.get("tmpfs", [])),  # noqa: S108
            "it sees Docker's socket": not any("docker.sock" in str(each) for each in service.get("volumes", [])),
            "it has no way to be stopped but by killing": service.get("init") is True,
        }
        complaints += [f"service {name}: {fault}" for fault, holds in wanted.items() if not holds]
    return complaints


def without_health_check(files: Files) -> list[str]:
    """Servers without a health check, and jobs with one."""
    complaints = []
    for name, service in files.services.items():
        check = service.get("healthcheck", {})
        is_checked = bool(check.get("test")) and check["test"] != ["NONE"] and not check.get("disable")
        if name in JOBS | BY_HAND and is_checked:
            complaints.append(f"service {name}: it ends by itself and has a health check")
        if name not in JOBS | BY_HAND and not is_checked:
            complaints.append(f"service {name}: it has no health check")
        if is_checked and not {"interval", "timeout", "retries", "start_period"} <= check.keys():
            complaints.append(f"service {name}: its health check has no interval, timeout, retries or start_period")
    return complaints


def wrong_order(files: Files) -> list[str]:
    """Services that do not wait until the servers they need are healthy and the jobs they need have succeeded."""
    services = files.services
    complaints = []
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in JOBS else "service_healthy"
            if how["condition"] != wanted:
                complaints.append(f"service {name}: it waits for {needed} to be {how['condition']}, not {wanted}")
        if (restart := service["restart"]) != "no" and name in JOBS | {"moderation"}:
            complaints.append(f"service {name}: it is a job and restarts {restart}")
        for server in sorted(servers_named(service, services) - {name}):
            if server not in _waited_for(name, services):
                complaints.append(f"service {name}: it names {server} and does not wait for it")
    return complaints


def servers_named(service: Service, services: dict[str, Service]) -> set[str]:
    """Services that appear with a port in a service's variables and command."""
    texts = [*service.get("environment", {}).values(), *map(str, service.get("command") or [])]
    return {name for text in texts for name in re.findall(r"\b([a-z][a-z-]*):\d+", str(text)) if name in services}


def _waited_for(name: str, services: dict[str, Service]) -> set[str]:
    needed_services: set[str] = set()
    waiting = [name]
    while waiting:
        for needed in services[waiting.pop()].get("depends_on", {}):
            if needed not in needed_services:
                needed_services.add(needed)
                waiting.append(needed)
    return needed_services


def published_widely(files: Files) -> list[str]:
    """Ports that other machines could reach, and services that are in a network without need."""
    complaints = []
    for name, service in files.services.items():
        ports = service.get("ports", [])
        complaints += [
            f"service {name}: port {each['published']} is published on {each.get('host_ip', 'every address')}"
            for each in ports
            if each.get("host_ip") != "127.0.0.1"
        ]
        if ("published" in service.get("networks", {})) != bool(ports):
            complaints.append(f"service {name}: the network `published` is for those that publish a port")
    return complaints


def variables(files: Files) -> Iterator[tuple[str, str, str]]:
    """Variables of both compose files: name, operator, default or message."""
    for line in f"{files.text(COMPOSE)}\n{files.text(TLS_COMPOSE)}".splitlines():
        if not line.lstrip().startswith("#"):
            yield from _VARIABLE.findall(line)


def wrong_variables(files: Files) -> list[str]:
    """Variables that differ from .env.example, and secrets with a default or with a value in the file."""
    complaints = []
    required: dict[str, set[str]] = {}
    for name, operator, rest in variables(files):
        required.setdefault(name, set()).add(rest if operator == ":-" else "")
        if operator not in (":-", ":?", ":+"):
            complaints.append(f"{name}: it is neither required nor has it a default")
    for name, defaults in required.items():
        if len(defaults) > 1:
            complaints.append(f"{name}: it has several defaults: {sorted(defaults)}")
    needed = {name for name, operator, _ in variables(files) if operator == ":?"}
    listed = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", files.text(EXAMPLE), re.MULTILINE))
    shown = set(re.findall(r"^([A-Z_]+)=", files.text(EXAMPLE), re.MULTILINE))
    for name, defaults in required.items():
        default = next(iter(defaults))
        if listed.get(name) != default:
            complaints.append(f"{name}: {EXAMPLE} has {listed.get(name)!r}, the default is {default!r}")
        if (name in shown) != (name in needed):
            complaints.append(f"{name}: {EXAMPLE} must set required variables and comment out the others")
    complaints += [
        f"{name}: {EXAMPLE} lists it and nothing uses it"
        for name in sorted(listed.keys() - required.keys() - _OF_COMPOSE)
    ]
    if listed.get("COMPOSE_FILE") != f"{COMPOSE}:{TLS_COMPOSE}" or "COMPOSE_FILE" in shown:
        complaints.append(f"COMPOSE_FILE: {EXAMPLE} must show {COMPOSE}:{TLS_COMPOSE}, commented out")
    for name, service in files.services.items():
        for key, value in service.get("environment", {}).items():
            # Every secret of the rendering is `secret-…`: one that is not comes from the file.
            if _SECRET.search(key) and value and "secret-" not in str(value) and not _is_no_secret(key, str(value)):
                complaints.append(f"service {name}: the value of {key} is in the file")
    return complaints


def _is_no_secret(key: str, value: str) -> bool:
    return key == "MLFLOW_TRACKING_URI" or (key == "AIRFLOW_CONN_KAFKA_DEFAULT" and "password" not in value)


def secrets_on_command_lines(files: Files) -> list[str]:
    """Secrets in commands, and commands of shells that pass one to a program: other accounts see command lines.

    ``printf`` is a part of the shell, and programs read its output.
    """
    complaints = []
    for name, service in files.services.items():
        words = [*map(str, service.get("entrypoint") or []), *map(str, service.get("command") or [])]
        words += map(str, service.get("healthcheck", {}).get("test") or [])
        complaints += [f"service {name}: a secret is in its command" for word in words if "secret-" in word]
        for command in re.split(r"&&|\|\||[|;\n]", " ".join(words)):
            if _PASSED.search(command) and not re.match(r"\s*(printf|unset|export)\b", command):
                complaints.append(f"service {name}: `{command.strip()}` passes a secret to a program")
    return complaints


CHECKS = (secrets_on_command_lines, not_hardened, without_health_check, wrong_order, published_widely, wrong_variables)
BREAKS = (
    (
        secrets_on_command_lines,
        COMPOSE,
        "--email admin@localhost.invalid",
        '--email admin@localhost.invalid --password "$$AIRFLOW_ADMIN_PASSWORD"',
    ),
    (
        secrets_on_command_lines,
        COMPOSE,
        "command: [migrate]",
        'command: [migrate, "${POSTGRES_PASSWORD:?see .env.example}"]',
    ),
    (not_hardened, COMPOSE, "  read_only: true\n", ""),
    (not_hardened, COMPOSE, "cap_drop: [ALL]", "cap_drop: [NET_RAW]"),
    (not_hardened, COMPOSE, 'security_opt: ["no-new-privileges:true"]', "security_opt: []"),
    (not_hardened, COMPOSE, ', memory: "${KAFKA_MEMORY:-2G}"', ""),
    (not_hardened, COMPOSE, ', memory: "${POSTGRES_MEMORY:-2G}", pids: 512', ', memory: "${POSTGRES_MEMORY:-2G}"'),
    (not_hardened, COMPOSE, "networks: [objects]", "privileged: true\n    networks: [objects]"),
    (not_hardened, COMPOSE, "grafana-data:/var/lib/grafana", "/var/run/docker.sock:/var/run/docker.sock"),
    (
        without_health_check,
        COMPOSE,
        "      test: [CMD, pg_isready",
        "      disable: true\n      x-test: [CMD, pg_isready",
    ),
    (without_health_check, COMPOSE, "    healthcheck: &airflow-component\n", "    x-health: &airflow-component\n"),
    (without_health_check, COMPOSE, "      start_period: 180s\n", ""),
    (without_health_check, COMPOSE, "  healthcheck: {disable: true}\n", "  healthcheck: {test: [CMD, ls]}\n"),
    (wrong_order, COMPOSE, "kafka: {condition: service_healthy}", "kafka: {condition: service_started}"),
    (
        wrong_order,
        COMPOSE,
        "topics: {condition: service_completed_successfully}",
        "topics: {condition: service_healthy}",
    ),
    (
        wrong_order,
        COMPOSE,
        "      topics: {condition: service_completed_successfully}\n"
        "      mlflow-accounts: {condition: service_completed_successfully}\n",
        "",
    ),
    (wrong_order, COMPOSE, "      object-store: {condition: service_healthy}\n", ""),
    (wrong_order, COMPOSE, '  restart: "no"', "  restart: always"),
    (published_widely, COMPOSE, '"127.0.0.1:${MLFLOW_PORT:-5000}:5000"', '"${MLFLOW_PORT:-5000}:5000"'),
    (published_widely, COMPOSE, '"127.0.0.1:${GRAFANA_PORT:-3000}:3000"', '"0.0.0.0:3000:3000"'),
    (published_widely, COMPOSE, "    networks: [objects]\n", "    networks: [objects, published]\n"),
    (wrong_variables, COMPOSE, "${POSTGRES_PASSWORD:?see .env.example}", "${POSTGRES_PASSWORD:-postgres}"),
    (wrong_variables, COMPOSE, "${GRAFANA_ADMIN_PASSWORD:?see .env.example}", "admin"),
    (wrong_variables, COMPOSE, "${MLFLOW_SECRET_KEY:?see .env.example}", "${MLFLOW_SECRET_KEY}"),
    (wrong_variables, COMPOSE, "${SOURCE_RATE:-20}", "${SOURCE_RATE:-50}"),
    (wrong_variables, COMPOSE, "${MODERATION_WORKERS:-1}", "${WORKERS:-1}"),
    (wrong_variables, EXAMPLE, "AIRFLOW_JWT_SECRET=\n", ""),
    (wrong_variables, EXAMPLE, "KAFKA_READER_PASSWORD=\n", ""),
    (wrong_variables, EXAMPLE, ":docker-compose.tls.yaml", ":docker-compose.override.yaml"),
    (wrong_variables, EXAMPLE, "#KAFKA_PARTITIONS=4", "KAFKA_PARTITIONS=4"),
    (wrong_variables, EXAMPLE, "#SOURCE_MEMORY=1G", "#SOURCE_MEMORY=1G\n#NOBODY=1"),
)
"""Alterations that a check must detect: the check, the file, the text and its replacement."""
