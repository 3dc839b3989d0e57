"""Every check of the rendered chart detects an object that is broken in one place; the schema of values is complete."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import helm_python
import pytest

from moderation.settings import Settings
from tests.conftest import ROOT
from tests.deploy.chart import CHART, EXAMPLES, Object, example, named, of_kind, render
from tests.deploy.chart_and_code import WITH_CODE, worker_of
from tests.deploy.chart_checks import GENERAL, is_pinned, network_complaints
from tests.deploy.test_chart import EVERYTHING

CHECKS: dict[str, Callable[[list[Object]], list[str]]] = {
    **GENERAL,
    **WITH_CODE,
    "network": lambda objects: network_complaints(objects, 5432),
}
WHOLE = render(EVERYTHING)


def first(pod: Object) -> Object:
    container: Object = pod["spec"]["template"]["spec"]["containers"][0]
    return container


def worker_pod(objects: list[Object]) -> Object:
    pod: Object = named(objects, "Deployment", "-worker")["spec"]["template"]["spec"]
    return pod


def set_env(objects: list[Object], name: str, value: str) -> None:
    (variable,) = (each for each in worker_of(objects)["env"] if each["name"] == name)
    variable.pop("valueFrom", None)
    variable["value"] = value


def trigger(objects: list[Object]) -> Object:
    metadata: Object = of_kind(objects, "ScaledObject")[0]["spec"]["triggers"][0]["metadata"]
    return metadata


def rule(objects: list[Object], name: str) -> Object:
    (group,) = of_kind(objects, "PrometheusRule")[0]["spec"]["groups"]
    rule: Object
    (rule,) = (each for each in group["rules"] if each["alert"] == name)
    return rule


def policy(objects: list[Object], end: str) -> Object:
    spec: Object = named(objects, "NetworkPolicy", end)["spec"]
    return spec


def change(target: Any, key: Any, value: object) -> None:
    target[key] = value


BREAKS: dict[str, tuple[str, Callable[[list[Object]], object]]] = {
    "an unknown field": ("schema", lambda o: change(worker_pod(o), "nodeSelectors", {})),
    "a field of another type": ("schema", lambda o: change(first(named(o, "Job", "-migrate")), "command", "x")),
    "an unknown field of an operator's resource": (
        "schema",
        lambda o: change(of_kind(o, "ScaledObject")[0]["spec"], "maxReplicas", 4),
    ),
    "an unknown parameter of a trigger": ("schema", lambda o: change(trigger(o), "lagThreshhold", "5")),
    "a parameter of a login that KEDA does not have": (
        "schema",
        lambda o: change(of_kind(o, "TriggerAuthentication")[0]["spec"]["secretTargetRef"][0], "parameter", "user"),
    ),
    "a number where KEDA wants a text": ("schema", lambda o: change(trigger(o), "lagThreshold", 5)),
    "a duration that is none": ("schema", lambda o: change(rule(o, "ModerationFenceLost"), "for", "soon")),
    "an unknown kind": ("schema", lambda o: change(o[0], "kind", "Sometimes")),
    "an image that moves": ("image", lambda o: change(worker_of(o), "image", "worker:latest")),
    "an image without a tag": ("image", lambda o: change(worker_of(o), "image", "registry:5000/worker")),
    "root": ("privilege", lambda o: change(worker_pod(o)["securityContext"], "runAsUser", 0)),
    "root allowed": ("privilege", lambda o: change(worker_of(o)["securityContext"], "runAsNonRoot", False)),
    "a file system that can be written": (
        "privilege",
        lambda o: change(worker_of(o)["securityContext"], "readOnlyRootFilesystem", False),
    ),
    "a capability": (
        "privilege",
        lambda o: change(worker_of(o)["securityContext"], "capabilities", {"drop": ["ALL"], "add": ["NET_RAW"]}),
    ),
    "no seccomp profile": ("privilege", lambda o: worker_pod(o)["securityContext"].pop("seccompProfile")),
    "a token": ("privilege", lambda o: change(worker_pod(o), "automountServiceAccountToken", True)),
    "memory without a limit": ("privilege", lambda o: worker_of(o)["resources"].pop("limits")),
    "no startup probe": ("probe", lambda o: worker_of(o).pop("startupProbe")),
    "no liveness probe": ("probe", lambda o: worker_of(o).pop("livenessProbe")),
    "no readiness probe": ("probe", lambda o: worker_of(o).pop("readinessProbe")),
    "a probe of another port": ("probe", lambda o: change(worker_of(o)["readinessProbe"]["httpGet"], "port", "http")),
    "a probe of another view": ("port", lambda o: change(worker_of(o)["readinessProbe"]["httpGet"], "path", "/readyz")),
    "a state folder that cannot be written": ("write", lambda o: set_env(o, "MODERATION_STATE_FOLDER", "/app/var")),
    "a certificate that nothing mounts": (
        "file",
        lambda o: worker_of(o)["env"].append({"name": "MODERATION_KAFKA_CA_FILE", "value": "/etc/kafka/ca.crt"}),
    ),
    "a volume that is not there": ("write", lambda o: worker_pod(o)["volumes"].pop()),
    "a secret's value": ("secret", lambda o: set_env(o, "MODERATION_DATABASE_URL", "postgresql://x:y@z/moderation")),
    "a secret of the chart's own": (
        "secret",
        lambda o: o.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}),
    ),
    "a service that selects no pod": (
        "selector",
        lambda o: change(named(o, "Service", "-worker")["spec"]["selector"], "app.kubernetes.io/component", "wrker"),
    ),
    "a monitor of another port": (
        "selector",
        lambda o: change(of_kind(o, "ServiceMonitor")[0]["spec"]["endpoints"][0], "port", "prometheus"),
    ),
    "a scaler of another deployment": (
        "selector",
        lambda o: change(of_kind(o, "ScaledObject")[0]["spec"]["scaleTargetRef"], "name", "worker"),
    ),
    "a login of KEDA that does not exist": (
        "selector",
        lambda o: change(of_kind(o, "ScaledObject")[0]["spec"]["triggers"][0]["authenticationRef"], "name", "keda"),
    ),
    "no account": ("selector", lambda o: change(worker_pod(o), "serviceAccountName", "admin")),
    "an account that comes after its job": (
        "hook",
        lambda o: change(named(o, "ServiceAccount", "-hooks")["metadata"]["annotations"], "helm.sh/hook-weight", "2"),
    ),
    "an account that is no hook": (
        "hook",
        lambda o: change(
            named(o, "ServiceAccount", "-hooks")["metadata"]["annotations"], "helm.sh/hook", "post-install"
        ),
    ),
    "a port that is closed": ("network", lambda o: policy(o, "-worker")["egress"].pop()),
    "a port that need not be open": (
        "network",
        lambda o: policy(o, "-source")["egress"].append({"ports": [{"port": 80}]}),
    ),
    "an issuer of tokens that is closed": (
        "network",
        lambda o: worker_of(o)["env"].append(
            {"name": "MODERATION_KAFKA_OAUTH_ENDPOINT", "value": "https://issuer/token"}
        ),
    ),
    "the web views for everybody": ("network", lambda o: policy(o, "-worker")["ingress"][-1].pop("from")),
    "an opening that serves nothing": (
        "network",
        lambda o: change(policy(o, "-worker")["ingress"][0]["ports"][0], "port", 9090),
    ),
    "nothing denied": ("network", lambda o: change(policy(o, "-default-deny"), "egress", [{}])),
    "an unknown setting": (
        "setting",
        lambda o: worker_of(o)["env"].append({"name": "MODERATION_BATCH_WAIT_MS", "value": "5"}),
    ),
    "a malformed setting": ("setting", lambda o: set_env(o, "MODERATION_METRICS_PORT", "metrics")),
    "a setting given twice": (
        "setting",
        lambda o: worker_of(o)["env"].append({"name": "MODERATION_MODEL_NAME", "value": "x"}),
    ),
    "a container port that differs": ("port", lambda o: change(worker_of(o)["ports"][0], "containerPort", 8080)),
    "a setting's port that differs": ("port", lambda o: set_env(o, "MODERATION_WORKER_WEB_PORT", "8080")),
    "a service port that differs": (
        "port",
        lambda o: change(named(o, "Service", "-worker")["spec"]["ports"][1], "port", 9090),
    ),
    "a test of another port": (
        "port",
        lambda o: change(named(o, "Pod", "-test")["spec"]["containers"][0]["command"], -1, "http://worker:80"),
    ),
    "a worker that only listens to itself": ("port", lambda o: set_env(o, "MODERATION_WORKER_HOST", "127.0.0.1")),
    "a topic renamed in one place": ("topic", lambda o: change(trigger(o), "topic", "comment")),
    "a prefix in one place": ("topic", lambda o: set_env(o, "MODERATION_TOPIC_PREFIX", "eu-")),
    "a lag that KEDA reads by TLS alone": ("topic", lambda o: change(trigger(o), "tls", "enable")),
    "a lag that KEDA reads by another mechanism": ("topic", lambda o: change(trigger(o), "sasl", "scram_sha256")),
    "another group": ("topic", lambda o: change(trigger(o), "consumerGroup", "moderation")),
    "another broker": ("topic", lambda o: set_env(o, "MODERATION_KAFKA_BOOTSTRAP", "other:9092")),
    "more workers than partitions": (
        "topic",
        lambda o: change(of_kind(o, "ScaledObject")[0]["spec"], "maxReplicaCount", 5),
    ),
    "more workers during an upgrade": (
        "topic",
        lambda o: change(named(o, "Deployment", "-worker")["spec"]["strategy"]["rollingUpdate"], "maxSurge", 1),
    ),
    "a module that is not there": ("command", lambda o: change(worker_of(o), "command", ["python", "-m", "streams"])),
    "a command that is not there": (
        "command",
        lambda o: change(first(named(o, "Job", "-migrate")), "command", ["moderation", "migration"]),
    ),
    "an option that is not there": (
        "command",
        lambda o: first(named(o, "Job", "-topics"))["command"].append("--copies"),
    ),
    "a source's option that is not there": (
        "command",
        lambda o: change(first(named(o, "Deployment", "-source")), "args", ["--generate", "--per-second", "5"]),
    ),
    "an alert on what nobody measures": (
        "alert",
        lambda o: change(
            rule(o, "ModerationFenceLost"), "expr", 'increase(moderation_fences_lost{namespace="x"}[1h]) > 3'
        ),
    ),
    "an alert on a label that is not there": (
        "alert",
        lambda o: change(
            rule(o, "ModerationFenceLost"), "expr", 'moderation_fence_losses_total{namespace="x",topic="y"} > 3'
        ),
    ),
    "an alert in every namespace": (
        "alert",
        lambda o: change(rule(o, "ModerationFenceLost"), "expr", "moderation_fence_losses_total > 3"),
    ),
    "an alert that does not parse": (
        "alert",
        lambda o: change(rule(o, "ModerationFenceLost"), "expr", "sum(up{namespace=}"),
    ),
    "a threshold that differs from Grafana's": (
        "alert",
        lambda o: change(
            rule(o, "ModerationWorkersBehind"), "expr", 'sum(moderation_lag_records{namespace="x"}) > 20000'
        ),
    ),
    "a token in the chart": ("token", lambda o: set_env(o, "MODERATION_HTTP_TOKEN", "x" * 32)),
    "Prometheus without the token": (
        "token",
        lambda o: of_kind(o, "ServiceMonitor")[0]["spec"]["endpoints"][0].pop("authorization"),
    ),
    "a dashboard that differs": ("dashboard", lambda o: of_kind(o, "ConfigMap")[0]["data"].popitem()),
    "a version that is not the project's": (
        "version",
        lambda o: change(
            named(o, "Deployment", "-worker")["spec"]["template"]["metadata"]["labels"],
            "app.kubernetes.io/version",
            "9",
        ),
    ),
}


@pytest.mark.parametrize("check", list(CHECKS))
def test_objects_pass_before_they_are_broken(check: str) -> None:
    assert CHECKS[check](WHOLE) == []


@pytest.mark.parametrize("name", list(BREAKS))
def test_a_break_is_detected_by_its_check(name: str) -> None:
    check, damage = BREAKS[name]
    objects = deepcopy(WHOLE)
    damage(objects)
    assert CHECKS[check](objects) != []


def test_every_check_has_a_break() -> None:
    assert {check for check, _ in BREAKS.values()} == CHECKS.keys()


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("worker:0.1.0", True),
        ("registry:5000/worker:0.1.0", True),
        ("registry:5000/worker@sha256:" + "0" * 64, True),
        ("worker", False),
        ("registry:5000/worker", False),
        ("worker:latest", False),
        ("worker:", False),
    ],
)
def test_an_image_is_pinned_by_a_version_or_a_digest(image: str, pinned: bool) -> None:
    assert is_pinned(image) is pinned


def test_the_schema_of_values_is_closed_everywhere() -> None:
    with helm_python.Chart.load(CHART) as chart:
        schema = chart.schema
    assert schema is not None
    open_objects: list[str] = []

    def look(node: object, path: str) -> None:
        if isinstance(node, dict):
            if node.get("type") == "object" and path != "/properties/global":
                only_texts = node.get("additionalProperties") == {"type": "string"}
                open_objects.extend([path] if node.get("additionalProperties") is not False and not only_texts else [])
            for key, value in node.items():
                look(value, f"{path}/{key}")
        elif isinstance(node, list):
            for number, value in enumerate(node):
                look(value, f"{path}/{number}")

    look(schema, "")
    assert open_objects == []


def test_the_schema_has_every_default_and_the_code_every_setting() -> None:
    with helm_python.Chart.load(CHART) as chart:
        schema, defaults = chart.schema, chart.values
    assert schema is not None
    assert schema["properties"].keys() - {"global"} == defaults.keys()
    own = set(schema["properties"]["settings"]["properties"])
    connection = schema["properties"]["kafka"]["properties"]["connection"]["properties"]
    own |= {f"kafka_{name}" for name in connection}
    own |= {f"kafka_{name}" for name in ("username", "password", "oauth_client_id", "oauth_client_secret")}
    spoken_for = {each["name"].removeprefix("MODERATION_").lower() for each in worker_of(WHOLE)["env"]}
    not_for_workers = {"lake_url", "fault_points", "signing_key", "certificate_key", "approver_must_differ"}
    not_for_workers |= {
        "reconcile_horizon_days",
        "author_key",
        "kafka_key_password",
        "topic_partitions",
        "topic_replication",
    }
    assert own <= Settings.model_fields.keys()
    assert not own & spoken_for
    assert own | spoken_for | not_for_workers >= Settings.model_fields.keys(), (
        "say in the chart what the new setting is"
    )


def test_settings_have_the_bounds_of_the_code() -> None:
    with helm_python.Chart.load(CHART) as chart:
        schema = chart.schema
    assert schema is not None
    bounds = ("type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum")
    code = Settings.model_json_schema()["properties"]
    for name, said in schema["properties"]["settings"]["properties"].items():
        # A setting without a default is left out of the values, so that null is not among what the chart takes.
        kinds = [kind for kind in code[name].get("anyOf", [code[name]]) if kind.get("type") != "null"]
        assert len(kinds) == 1, name
        assert {key: said.get(key) for key in bounds} == {key: kinds[0].get(key) for key in bounds}, name


def test_the_documentation_of_values_is_complete() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    for secret in ("moderation-database", "moderation-certificate", "moderation-mlflow"):
        assert secret in page
    for name in sorted(path.stem for path in EXAMPLES.iterdir()):
        assert f"examples/{name}.yaml" in page
    assert example("ha")["kafka"]["bootstrap"] in page
