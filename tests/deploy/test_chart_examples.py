"""The examples for other charts agree with the chart and the code; each disagreement is detected."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import helm_python
import pytest
import yaml

from tests.deploy.chart import CHART, EXAMPLES, Object, example
from tests.deploy.example_checks import (
    airflow_complaints,
    grafana_complaints,
    kafka_complaints,
    kafka_documents,
    literal_secrets,
    mlflow_complaints,
)

HA = example("ha")
with helm_python.Chart.load(CHART) as _chart:
    DEFAULTS = _chart.values

CHECKS: dict[str, Callable[[Any], list[str]]] = {
    "strimzi": lambda documents: kafka_complaints(documents, HA),
    "airflow": lambda values: airflow_complaints(values, HA),
    "mlflow": lambda values: mlflow_complaints(values, HA),
    "grafana": lambda values: grafana_complaints(values, DEFAULTS),
}


def written(name: str) -> Any:
    return kafka_documents() if name == "strimzi" else example(name)


def document(documents: list[Object], kind: str, name: str) -> Object:
    (document,) = (each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return document


def acls(documents: list[Object], user: str) -> list[Object]:
    rules: list[Object] = document(documents, "KafkaUser", user)["spec"]["authorization"]["acls"]
    return rules


def listeners(documents: list[Object]) -> list[Object]:
    listeners: list[Object] = document(documents, "Kafka", "moderation")["spec"]["kafka"]["listeners"]
    return listeners


def change(target: Any, key: Any, value: object) -> None:
    target[key] = value


BREAKS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "a topic renamed": (
        "strimzi",
        lambda d: change(document(d, "KafkaTopic", "comments")["metadata"], "name", "comment"),
    ),
    "a topic left out": ("strimzi", lambda d: d.pop()),
    "other partitions": ("strimzi", lambda d: change(document(d, "KafkaTopic", "comments")["spec"], "partitions", 4)),
    "other copies": ("strimzi", lambda d: change(document(d, "KafkaTopic", "panes")["spec"], "replicas", 1)),
    "another timestamp": (
        "strimzi",
        lambda d: change(
            document(d, "KafkaTopic", "comments")["spec"]["config"], "message.timestamp.type", "CreateTime"
        ),
    ),
    "an unknown field": ("strimzi", lambda d: change(document(d, "KafkaTopic", "panes")["spec"], "replication", 3)),
    "an old version": ("strimzi", lambda d: change(d[0], "apiVersion", "kafka.strimzi.io/v1beta2")),
    "another cluster": (
        "strimzi",
        lambda d: change(document(d, "KafkaUser", "comment-producer")["metadata"]["labels"], "strimzi.io/cluster", "x"),
    ),
    "a right on a topic that is not there": (
        "strimzi",
        lambda d: change(acls(d, "comment-producer")[0]["resource"], "name", "posts"),
    ),
    "a right that a role does not need": (
        "strimzi",
        lambda d: acls(d, "moderation-worker")[0]["operations"].append("Write"),
    ),
    "a right that a role lacks": ("strimzi", lambda d: acls(d, "moderation-worker").pop()),
    "a right on every topic": (
        "strimzi",
        lambda d: change(acls(d, "moderation-batch")[0]["resource"], "patternType", "prefix"),
    ),
    "a right that is implied": (
        "strimzi",
        lambda d: acls(d, "comment-producer")[0]["operations"].append("Describe"),
    ),
    "a right from one host": ("strimzi", lambda d: change(acls(d, "moderation-batch")[0], "host", "10.0.0.1")),
    "a right that is denied": ("strimzi", lambda d: change(acls(d, "moderation-operator")[0], "type", "deny")),
    "another group of the workers": (
        "strimzi",
        lambda d: change(acls(d, "moderation-worker")[-1]["resource"], "name", "moderation"),
    ),
    "KEDA that may read comments": ("strimzi", lambda d: acls(d, "moderation-keda")[0]["operations"].append("Read")),
    "KEDA that may not see the group": ("strimzi", lambda d: acls(d, "moderation-keda").pop()),
    "a user of no role": (
        "strimzi",
        lambda d: change(document(d, "KafkaUser", "moderation-reader")["metadata"], "name", "moderation-readers"),
    ),
    "a user without a password": (
        "strimzi",
        lambda d: change(document(d, "KafkaUser", "moderation-reader")["spec"]["authentication"], "type", "tls"),
    ),
    "another port": ("strimzi", lambda d: change(listeners(d)[0], "port", 9094)),
    "a listener without TLS": ("strimzi", lambda d: change(listeners(d)[0], "tls", False)),
    "a listener without accounts": ("strimzi", lambda d: listeners(d)[0].pop("authentication")),
    "a second listener without accounts": (
        "strimzi",
        lambda d: listeners(d).append({"name": "open", "port": 9092, "type": "internal", "tls": True}),
    ),
    "another super user": (
        "strimzi",
        lambda d: change(
            document(d, "Kafka", "moderation")["spec"]["kafka"]["authorization"], "superUsers", ["ANONYMOUS"]
        ),
    ),
    "another image": ("airflow", lambda v: change(v["images"]["airflow"], "repository", "apache/airflow")),
    "another Airflow": ("airflow", lambda v: change(v, "airflowVersion", "2.11.0")),
    "as many tasks at once as Airflow likes": ("airflow", lambda v: v["config"]["core"].pop("parallelism")),
    "an unknown setting": ("airflow", lambda v: change(v["env"][0], "name", "MODERATION_KAFKA")),
    "another broker": ("airflow", lambda v: change(v["env"][0], "value", "kafka:9092")),
    "tasks without TLS": ("airflow", lambda v: change(v["env"][1], "value", "sasl_plaintext")),
    "an authority that nothing mounts": ("airflow", lambda v: change(v["volumeMounts"][0], "mountPath", "/etc/kafka")),
    "another authority": ("airflow", lambda v: change(v["volumes"][0]["secret"], "secretName", "private-ca")),
    "the account of workers": ("airflow", lambda v: change(v["secret"][1], "secretName", "moderation-kafka")),
    "another secret": ("airflow", lambda v: change(v["secret"][0], "secretName", "database")),
    "another version of MLflow's image": ("mlflow", lambda v: change(v["image"], "tag", "0.0.9")),
    "accounts that may create models": ("mlflow", lambda v: v["auth"].pop("authorizationFunction")),
    "a host that is refused": ("mlflow", lambda v: change(v, "serverAllowedHosts", ["mlflow"])),
    "another port of MLflow": ("mlflow", lambda v: change(v["service"], "port", 5000)),
    "artifacts beside the server": ("mlflow", lambda v: change(v["artifactRoot"], "proxiedArtifactStorage", False)),
    "another label": ("grafana", lambda v: change(v["sidecar"]["dashboards"], "label", "dashboard")),
    "no folder": ("grafana", lambda v: change(v["sidecar"]["dashboards"], "folderAnnotation", "folder")),
    "another uid": (
        "grafana",
        lambda v: change(v["datasources"]["moderation.yaml"]["datasources"][0], "uid", "postgres"),
    ),
    "a certificate that nothing mounts": (
        "grafana",
        lambda v: change(v["extraConfigmapMounts"][0], "mountPath", "/etc/ssl"),
    ),
    "a server that is not verified": (
        "grafana",
        lambda v: change(v["datasources"]["moderation.yaml"]["datasources"][0]["jsonData"], "sslmode", "require"),
    ),
    "a password elsewhere": ("grafana", lambda v: change(v["extraSecretMounts"][0], "mountPath", "/run/password")),
}


@pytest.mark.parametrize("name", list(CHECKS))
def test_an_example_agrees_with_chart_and_code(name: str) -> None:
    assert CHECKS[name](written(name)) == []


def test_every_example_with_these_brokers_uses_their_accounts() -> None:
    assert kafka_complaints(kafka_documents(), example("openshift")) == []
    brokers = HA["kafka"]["bootstrap"].partition(":")[0]
    using = {path.stem for path in EXAMPLES.glob("*.yaml") if brokers in path.read_text()}
    assert using == {"ha", "openshift", "airflow"}


@pytest.mark.parametrize("name", list(BREAKS))
def test_a_disagreement_is_detected(name: str) -> None:
    which, damage = BREAKS[name]
    values = deepcopy(written(which))
    damage(values)
    assert CHECKS[which](values) != []


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_example_contains_a_secret(path: Any) -> None:
    assert [secret for each in yaml.safe_load_all(path.read_text()) for secret in literal_secrets(each)] == []


def test_a_secret_in_an_example_is_detected() -> None:
    values = example("mlflow")
    values["backendStore"]["postgres"]["password"] = "hunter2"
    assert literal_secrets(values) == ["/backendStore/postgres/password"]
