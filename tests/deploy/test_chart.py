"""For every kind of values, the chart renders objects that Kubernetes accepts and the code expects."""

from __future__ import annotations

import tarfile
from pathlib import Path

import helm_python
import pytest
import yaml

from moderation import __version__
from moderation.settings import Settings
from tests.conftest import ROOT
from tests.deploy.chart import CHART, EXAMPLES, Object, example, merged, named, notes, of_kind, render
from tests.deploy.chart_and_code import SHARED_TOPICS, WITH_CODE
from tests.deploy.chart_checks import GENERAL, network_complaints

MINIMAL = example("minimal")
EVERYTHING = merged(
    MINIMAL,
    {
        "source": {"enabled": True},
        "worker": {"autoscaling": {"enabled": True}, "podAnnotations": {"note": "x"}, "priorityClassName": "high"},
        "monitoring": {
            "serviceMonitor": {"enabled": True},
            "prometheusRule": {"enabled": True},
            "grafanaAlerts": {"enabled": True},
        },
        "networkPolicy": {"views": [{"podSelector": {"matchLabels": {"app": "console"}}}]},
        "exploration": {"existingSecret": "moderation-exploration"},
        "mlflow": {"existingSecret": "moderation-mlflow"},
    },
)
VALUES: dict[str, Object] = {
    "minimal": MINIMAL,
    "ha": example("ha"),
    "air-gapped": example("air-gapped"),
    "everything": EVERYTHING,
    "nothing that can be left out": merged(
        MINIMAL,
        {
            "hooks": {name: {"enabled": False} for name in ("migrate", "topics", "certify")},
            "worker": {"podDisruptionBudget": {"enabled": False}},
            "monitoring": {"dashboards": {"enabled": False}},
        },
    ),
    "an account in Kafka": merged(
        MINIMAL,
        {
            "kafka": {
                "connection": {
                    "security_protocol": "sasl_ssl",
                    "sasl_mechanism": "SCRAM-SHA-512",
                    "verify_hostname": True,
                    "worker_principal": "User:moderation-worker",
                },
                "existingSecret": "kafka-worker",
            },
            "hooks": {"topics": {"kafkaSecret": "kafka-operator"}},
        },
    ),
    "other names and ports": merged(
        EVERYTHING,
        {
            "fullnameOverride": "speed",
            "image": {"repository": "registry.example.org:5000/x/worker", "tag": "1.2.3"},
            "kafka": {"bootstrap": "a:19092,b:29092", "topicPrefix": "eu-", "consumerGroup": "eu", "partitions": 64},
            "mlflow": {"url": "https://mlflow.example.org"},
            "worker": {"webPort": 7000, "metricsPort": 7001, "autoscaling": {"cpuUtilization": None}},
            "source": {"existingClaim": "source-state", "arguments": ["--history", "/data", "--speed", "2"]},
            "settings": {"batch_most_records": 2000, "dead_letter_share": 0.25, "model_max_bytes": 1073741824},
        },
    ),
}
EACH = pytest.mark.parametrize("name", list(VALUES))
RENDERED = {name: render(values) for name, values in VALUES.items()}


def database_port(values: Object) -> int:
    return int(values["database"].get("port", 5432))


@EACH
@pytest.mark.parametrize("check", [*GENERAL, *WITH_CODE])
def test_nothing_is_wrong_with(check: str, name: str) -> None:
    if check == "version" and VALUES[name].get("image", {}).get("tag"):
        assert VALUES[name]["image"]["tag"] in str(RENDERED[name])
        return
    assert (GENERAL | WITH_CODE)[check](RENDERED[name]) == []


@EACH
def test_pods_reach_what_they_need_and_nothing_else(name: str) -> None:
    assert network_complaints(RENDERED[name], database_port(VALUES[name])) == []


@EACH
def test_helm_lint_reports_nothing(name: str) -> None:
    report = helm_python.lint(CHART, VALUES[name], strict=True, kube_version="v1.37.0")
    assert report["errors"] == []
    assert [message["error"] for message in report["messages"] if message["severity"] > 1] == []


@EACH
def test_the_notes_state_the_number_of_workers(name: str) -> None:
    objects, text = RENDERED[name], notes(VALUES[name])
    scaled = of_kind(objects, "ScaledObject")
    most = (
        scaled[0]["spec"]["maxReplicaCount"] if scaled else named(objects, "Deployment", "-worker")["spec"]["replicas"]
    )
    assert f" {most}, " in text
    assert f"deployment/{named(objects, 'Deployment', '-worker')['metadata']['name']}" in text


def test_every_enabled_object_is_rendered() -> None:
    kinds = {each["kind"] for each in RENDERED["everything"]}
    assert kinds == {
        "ConfigMap",
        "Deployment",
        "Job",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "PrometheusRule",
        "ScaledObject",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
    }
    assert len(of_kind(RENDERED["everything"], "Job")) == 3
    assert len(of_kind(RENDERED["everything"], "ConfigMap")) == 2
    absent = {"Job", "PodDisruptionBudget", "ScaledObject", "ConfigMap", "ServiceMonitor", "PrometheusRule"}
    assert not absent & {each["kind"] for each in RENDERED["nothing that can be left out"]}


def test_autoscaling_excludes_replicas() -> None:
    assert "replicas" not in named(RENDERED["everything"], "Deployment", "-worker")["spec"]
    assert named(RENDERED["air-gapped"], "Deployment", "-worker")["spec"]["replicas"] == 4


def test_the_default_maximum_of_workers_is_the_number_of_partitions() -> None:
    for name in ("ha", "everything", "other names and ports"):
        (scaled,) = of_kind(RENDERED[name], "ScaledObject")
        default = SHARED_TOPICS[0].partitions
        assert scaled["spec"]["maxReplicaCount"] == VALUES[name]["kafka"].get("partitions", default)


def test_all_images_come_from_the_private_registry_with_its_secret() -> None:
    values = VALUES["air-gapped"]
    text = yaml.safe_dump(RENDERED["air-gapped"])
    images = [line.split("image: ")[1] for line in text.splitlines() if "image: " in line]
    assert images
    assert set(images) == {f"{values['image']['repository']}@{values['image']['digest']}"}
    assert text.count("imagePullSecrets") == len(images)


def test_defaults_equal_those_of_the_code() -> None:
    with helm_python.Chart.load(CHART) as chart:
        defaults, metadata = chart.values, chart.metadata
    assert metadata["version"] == metadata["appVersion"] == __version__
    assert {topic.partitions for topic in SHARED_TOPICS} == {defaults["kafka"]["partitions"]}
    settings = Settings()
    assert defaults["worker"]["webPort"] == settings.worker_web_port
    assert defaults["worker"]["metricsPort"] == settings.metrics_port
    assert defaults["kafka"]["consumerGroup"] == settings.consumer_group
    assert defaults["kafka"]["topicPrefix"] == settings.topic_prefix
    assert defaults["kafka"]["retentionHours"] == settings.topic_retention_hours
    assert defaults["kafka"]["partitions"] == settings.topic_partitions
    assert defaults["kafka"]["replication"] == settings.topic_replication
    assert defaults["mlflow"]["modelName"] == settings.model_name
    assert defaults["worker"]["terminationGracePeriodSeconds"] >= settings.ledger_retry_seconds


def test_a_package_contains_the_dashboards_and_no_links(tmp_path: Path) -> None:
    archive = helm_python.package(CHART, destination=tmp_path)
    with tarfile.open(archive) as files:
        names = files.getnames()
        assert not [member.name for member in files.getmembers() if member.issym()]
    assert render(VALUES["everything"], Path(archive)) == RENDERED["everything"]
    for path in (ROOT / "grafana" / "dashboards").iterdir():
        assert f"comment-moderation/files/dashboards/{path.name}" in names


def test_every_example_is_tested() -> None:
    known = {"minimal", "ha", "air-gapped", "airflow", "mlflow", "grafana", "strimzi"}
    assert {path.stem for path in EXAMPLES.iterdir()} == known
