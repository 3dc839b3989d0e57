"""Compare the chart with the code: settings, ports, paths, topics, metrics, dashboards, commands."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Callable, Iterator

import promql_parser
from pydantic import ValidationError
from typer.core import TyperGroup
from typer.main import get_command

from cli.main import app
from grafana.source.alerts import ALERTS
from moderation import __version__
from moderation.adapters.kafka.topics import COMMENTS, TOPICS
from moderation.errors import ConfigurationError
from moderation.settings import PREFIX, Settings
from stream.source.cli import plan_of
from tests.conftest import ROOT
from tests.deploy.chart import Object, containers, environment, named, of_kind, pods, title
from tests.deploy.worker_metrics import metrics

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VIEWS = set(re.findall(r"@app\.page\(\"(/\w+)\"", (ROOT / "stream" / "worker" / "http_api.py").read_text()))
FOREIGN_METRICS = {"up", "kube_pod_container_status_last_terminated_exitcode"}
"""Series of Prometheus itself and of kube-state-metrics."""
_TARGET_LABELS = {"namespace", "job", "pod", "container", "instance"}
_SECRET = "s" * 32
_FILE = str(ROOT / "pyproject.toml")
"""Stands for the files of the connection to Kafka, which settings require to exist."""
_IN_SECRETS = {"database_url": f"postgresql://{_SECRET}", "mlflow_username": "worker"}
"""Values from Kubernetes secrets that have a form of their own."""
_KEDA_SASL = {
    None: "none",
    "PLAIN": "plaintext",
    "SCRAM-SHA-256": "scram_sha256",
    "SCRAM-SHA-512": "scram_sha512",
    "OAUTHBEARER": "oauthbearer",
}
"""KEDA's names of SASL mechanisms."""
_SAME_THRESHOLD = {
    "ModerationWorkersBehind": "moderation-lag",
    "ModerationWatermarkDelay": "moderation-watermark-delay",
    "ModerationClockAhead": "moderation-clock-ahead",
    "ModerationLateShare": "moderation-late-share",
    "ModerationModelRefused": "moderation-refused-model",
    "ModerationRegistryState": "moderation-registry-state",
    "ModerationOverride": "moderation-override",
    "ModerationManyDeadLetters": "moderation-dead-letters",
    "ModerationQuarantine": "moderation-quarantine",
    "ModerationStalled": "moderation-stalled",
    "ModerationRestarts": "moderation-restarts",
    "ModerationUnreadableRecords": "moderation-unreadable",
    "ModerationOpenTransaction": "moderation-open-transaction",
    "ModerationTopicMissing": "moderation-missing-topics",
    "ModerationUnreadPartitions": "moderation-unread-partitions",
    "ModerationArchiveRetention": "moderation-archive-retention",
}


def settings_of(container: Object) -> Settings:
    """The settings with which a container starts.

    Raises:
        ValueError: a setting is unknown, malformed or given twice.
    """
    names = [each["name"] for each in container.get("env", []) if each["name"].startswith(PREFIX)]
    fields = [name.removeprefix(PREFIX).lower() for name in names]
    if unknown := sorted(set(fields) - Settings.model_fields.keys()):
        raise ValueError(f"no such setting: {', '.join(unknown)}")
    if len(set(names)) < len(names):
        raise ValueError(f"given twice: {sorted({name for name in names if names.count(name) > 1})}")
    values = environment(container)
    given = {
        field: secret_value(field) if values[name] is None else values[name]
        for field, name in zip(fields, names, strict=True)
    }
    given |= {field: _FILE for field in fields if field.startswith("kafka_") and field.endswith("_file")}
    return Settings.model_validate(given)


def secret_value(field: str) -> str:
    """A value of the form that a setting from a Kubernetes secret has."""
    return _IN_SECRETS.get(field, _SECRET)


def setting_complaints(objects: list[Object]) -> list[str]:
    """Settings that the code does not have, or refuses."""
    complaints = []
    for name, container in containers(objects):
        try:
            settings_of(container)
        except (ValueError, ValidationError, ConfigurationError) as error:
            complaints.append(f"{name}: {error}")
    return complaints


def worker_of(objects: list[Object]) -> Object:
    """The worker's container."""
    deployment = named(objects, "Deployment", "-worker")
    container: Object = deployment["spec"]["template"]["spec"]["containers"][0]
    return container


def port_complaints(objects: list[Object]) -> list[str]:
    """Ports that differ between settings, container, service, policies, probes and test; unreachable addresses."""
    worker, complaints = worker_of(objects), []
    settings = settings_of(worker)
    wanted = {"web": settings.worker_web_port, "metrics": settings.metrics_port}
    if settings.worker_host in ("127.0.0.1", "localhost", "::1"):
        complaints.append("the worker listens where neither probes nor Prometheus can ask")
    if (ports := {port["name"]: port["containerPort"] for port in worker["ports"]}) != wanted:
        complaints.append(f"the container's ports are {ports}, the settings' {wanted}")
    service = named(objects, "Service", "-worker")
    if (shown := {port["targetPort"]: port["port"] for port in service["spec"]["ports"]}) != wanted:
        complaints.append(f"the service's ports are {shown}, the settings' {wanted}")
    address = f"http://{service['metadata']['name']}:{wanted['web']}"
    test = named(objects, "Pod", "-test")["spec"]["containers"][0]["command"]
    if address not in test:
        complaints.append(f"the test does not ask {address}")
    paths = [worker[probe]["httpGet"]["path"] for probe in worker if probe.endswith("Probe")]
    paths += re.findall(r'"(/\w+)"', "\n".join(test))
    return complaints + [f"the worker has no view {path}" for path in paths if path not in VIEWS]


def token_complaints(objects: list[Object]) -> list[str]:
    """Prometheus and the chart's test without the token that workers need, and a token with a value in the chart."""
    name, complaints = f"{PREFIX}HTTP_TOKEN", []
    wanted = _reference(worker_of(objects), name)
    if wanted is None:
        return ["the worker has no token from a secret"]
    test = named(objects, "Pod", "-test")["spec"]["containers"][0]
    if _reference(test, name) != wanted:
        complaints.append("the test has another token than the worker")
    for monitor in of_kind(objects, "ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            if endpoint.get("authorization") != {"type": "Bearer", "credentials": wanted}:
                complaints.append(f"{title(monitor)}: Prometheus does not send the token of the worker")
    return complaints


def _reference(container: Object, name: str) -> Object | None:
    """Secret and key from which a variable of a container comes; None without it."""
    found = [each.get("valueFrom", {}).get("secretKeyRef") for each in container.get("env", []) if each["name"] == name]
    return found[0] if found else None


def topic_complaints(objects: list[Object]) -> list[str]:
    """A lag of another topic, group, broker or kind of login than the worker's; more workers than partitions."""
    settings = settings_of(worker_of(objects))
    deployment = named(objects, "Deployment", "-worker")
    complaints, most = [], deployment["spec"].get("replicas")
    for scaled in of_kind(objects, "ScaledObject"):
        trigger = scaled["spec"]["triggers"][0]["metadata"]
        wanted = {
            "topic": settings.topic_prefix + COMMENTS.name,
            "consumerGroup": settings.consumer_group,
            "bootstrapServers": settings.kafka_bootstrap,
            "tls": "enable" if settings.uses_tls else "disable",
            "sasl": _KEDA_SASL[settings.kafka_sasl_mechanism],
        }
        complaints += [
            f"{title(scaled)}: {key} is {trigger[key]}, not {value}"
            for key, value in wanted.items()
            if trigger[key] != value
        ]
        most = scaled["spec"]["maxReplicaCount"]
    if deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"] != 0:
        complaints.append("an upgrade runs more workers than there may be")
    partitions = partitions_of(objects)
    if most is None or most > partitions:
        complaints.append(f"{most} workers may run, for {partitions} partitions")
    brokers = {environment(container).get("MODERATION_KAFKA_BOOTSTRAP") for _, container in containers(objects)} - {
        None
    }
    prefixes = {environment(container).get("MODERATION_TOPIC_PREFIX") for _, container in containers(objects)} - {None}
    return complaints + [f"not one: {values}" for values in (brokers, prefixes) if len(values) != 1]


def partitions_of(objects: list[Object]) -> int:
    """Number of partitions of `comments` in the chart; the code's where the chart creates no topics."""
    for job in of_kind(objects, "Job"):
        command = job["spec"]["template"]["spec"]["containers"][0]["command"]
        if "--partitions" in command:
            return int(command[command.index("--partitions") + 1])
    return COMMENTS.partitions


def command_complaints(objects: list[Object]) -> list[str]:
    """Commands that the project does not have."""
    complaints = []
    for name, container in containers(objects):
        words = [*container["command"], *container.get("args", [])]
        try:
            require_command(words)
        except (ValueError, ImportError, SystemExit) as error:
            complaints.append(f"{name}: {' '.join(words[:6])}: {error}")
    return complaints


def require_command(words: list[str]) -> None:
    """Check that a command line is one of the project.

    Raises:
        ValueError: a program, a command or an option does not exist.
    """
    if words[0] == "python":
        if "-c" in words:
            compile(words[words.index("-c") + 1], "command", "exec")
            return
        module = words[words.index("-m") + 1]
        if importlib.util.find_spec(f"{module}.__main__") is None:
            raise ValueError(f"no module {module}")
        if "source" in words:
            plan_of(words[words.index("source") + 1 :], Settings())
        return
    if words[0] not in PROJECT["scripts"]:
        raise ValueError(f"no command {words[0]}")
    command, rest = get_command(app), words[1:]
    while isinstance(command, TyperGroup):
        if not rest or rest[0] not in command.commands:
            raise ValueError(f"{command.name or words[0]} has no command {rest[0] if rest else ''}")
        command, rest = command.commands[rest[0]], rest[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    if unknown := [word for word in rest if word.startswith("--") and word not in options]:
        raise ValueError(f"{command.name} has no option {unknown[0]}")


def selectors(expression: promql_parser.Expr) -> Iterator[promql_parser.VectorSelector]:
    """Every series in an expression."""
    selectors: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            selectors.append(node)

    promql_parser.walk(expression, visit)
    yield from selectors


def alert_complaints(objects: list[Object]) -> list[str]:
    """Rules that Prometheus refuses, that query unknown series, or that differ from Grafana's."""
    known, complaints = metrics(), []
    thresholds = {alert.uid: alert for alert in ALERTS}
    for rule in (r for o in of_kind(objects, "PrometheusRule") for g in o["spec"]["groups"] for r in g["rules"]):
        try:
            expression = promql_parser.parse(rule["expr"])
        except ValueError as error:
            complaints.append(f"{rule['alert']}: {error}")
            continue
        for series in selectors(expression):
            if series.name not in known.keys() | FOREIGN_METRICS:
                complaints.append(f"{rule['alert']}: the worker does not measure {series.name}")
                continue
            labels = {matcher.name for matcher in series.matchers.matchers}
            if unknown := labels - _TARGET_LABELS - known.get(series.name or "", set()):
                complaints.append(f"{rule['alert']}: {series.name} has no label {unknown}")
            if "namespace" not in labels:
                complaints.append(f"{rule['alert']}: {series.name} is asked for in every namespace")
        if uid := _SAME_THRESHOLD.get(rule["alert"]):
            same = thresholds[uid]
            bound = re.search(r"> ([0-9.]+)(?: and on .*)?$", rule["expr"])
            if bound is None or float(bound[1]) != same.above or rule.get("for", "0s") != same.for_duration:
                complaints.append(f"{rule['alert']} fires when Grafana's {uid} does not")
    return complaints


def dashboard_complaints(objects: list[Object]) -> list[str]:
    """ConfigMaps that differ from the files of grafana/."""
    complaints = []
    for end, folder in (("-dashboards", "dashboards"), ("-grafana-alerts", "provisioning/alerting")):
        for each in of_kind(objects, "ConfigMap"):
            files = {path.name: path.read_text() for path in (ROOT / "grafana" / folder).iterdir()}
            if each["metadata"]["name"].endswith(end) and each["data"] != files:
                complaints.append(f"{title(each)} is not grafana/{folder}")
    return complaints


def version_complaints(objects: list[Object]) -> list[str]:
    """Labels that name another version than the project's."""
    key = "app.kubernetes.io/version"
    return [f"{name}: {labels[key]}" for name, labels, _ in pods(objects) if labels[key] != __version__]


WITH_CODE: dict[str, Callable[[list[Object]], list[str]]] = {
    "setting": setting_complaints,
    "port": port_complaints,
    "token": token_complaints,
    "topic": topic_complaints,
    "command": command_complaints,
    "alert": alert_complaints,
    "dashboard": dashboard_complaints,
    "version": version_complaints,
}
SHARED_TOPICS = tuple(topic for topic in TOPICS if topic.partitions == COMMENTS.partitions)
