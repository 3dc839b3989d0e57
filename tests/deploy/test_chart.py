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
from tests.deploy.chart import (
    CHART,
    EXAMPLES,
    Object,
    containers,
    environment,
    example,
    merged,
    named,
    notes,
    of_kind,
    pods,
    render,
)
from tests.deploy.chart_and_code import SHARED_TOPICS, WITH_CODE
from tests.deploy.chart_checks import GENERAL, network_complaints
from tests.deploy.files import Files

MINIMAL = example("minimal")
EVERYTHING = merged(
    MINIMAL,
    {
        "source": {"enabled": True},
        "worker": {
            "autoscaling": {"enabled": True, "authentication": {"existingSecret": "keda", "keys": {"ca": "ca.crt"}}},
            "podAnnotations": {"note": "x"},
            "priorityClassName": "high",
        },
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
_CLUSTER_KIND = "ClusterTriggerAuthentication"
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
    "tokens of an issuer": merged(
        EVERYTHING,
        {
            "kafka": {
                "connection": {
                    "security_protocol": "sasl_ssl",
                    "sasl_mechanism": "OAUTHBEARER",
                    "oauth_endpoint": "https://issuer.example.org/token",
                },
                "existingSecret": "kafka-worker",
            },
            "worker": {"autoscaling": {"authentication": {"sasl": "oauthbearer", "tls": True}}},
            "networkPolicy": {"oauth": [{"ipBlock": {"cidr": "10.20.3.0/24"}}]},
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
    "openshift": example("openshift"),
    "keda": merged(example("openshift"), example("keda")),
    "private-ca": merged(MINIMAL, example("private-ca")),
    "ha, private-ca and the source": merged(example("ha"), example("private-ca"), {"source": {"enabled": True}}),
    "extras of every pod and of one": merged(
        EVERYTHING,
        {
            "containerSecurityContext": {"readOnlyRootFilesystem": True, "runAsUser": 20001},
            "kafka": {"connection": {"security_protocol": "ssl"}},
            "extraEnv": [{"name": "SSL_CERT_DIR", "value": "/etc/moderation/ca"}],
            "extraVolumes": [{"name": "ca", "projected": {"sources": [{"configMap": {"name": "ca"}}]}}],
            "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/moderation/ca", "readOnly": True}],
            "worker": {
                "existingClaim": "worker-state",
                "extraEnv": [{"name": "OTHER", "valueFrom": {"secretKeyRef": {"name": "other", "key": "value"}}}],
                "autoscaling": {
                    "authentication": {"tls": True, "existingSecret": "", "existing": "kafka", "kind": _CLUSTER_KIND}
                },
            },
            "source": {"extraVolumes": [{"name": "exports", "persistentVolumeClaim": {"claimName": "exports"}}]},
            "hooks": {"extraEnv": [{"name": "HOOK", "value": "1"}]},
        },
    ),
}
EACH = pytest.mark.parametrize("name", list(VALUES))
RENDERED = {name: render(values) for name, values in VALUES.items()}


def database_port(values: Object) -> int:
    return int(values["database"].get("port", 5432))


def dns_ports(values: Object) -> frozenset[int]:
    return frozenset(values.get("networkPolicy", {}).get("dnsPorts", [53]))


@EACH
@pytest.mark.parametrize("check", [*GENERAL, *WITH_CODE])
def test_nothing_is_wrong_with(check: str, name: str) -> None:
    if check == "version" and VALUES[name].get("image", {}).get("tag"):
        assert VALUES[name]["image"]["tag"] in str(RENDERED[name])
        return
    assert (GENERAL | WITH_CODE)[check](RENDERED[name]) == []


@EACH
def test_pods_reach_what_they_need_and_nothing_else(name: str) -> None:
    assert network_complaints(RENDERED[name], database_port(VALUES[name]), dns_ports(VALUES[name])) == []


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
        "TriggerAuthentication",
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
    known |= {"openshift", "keda", "private-ca"}
    assert {path.stem for path in EXAMPLES.iterdir()} == known


def test_the_platform_assigns_user_and_group_where_the_values_name_none() -> None:
    for name, _, pod in pods(RENDERED["openshift"]):
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }, name
    assert {pod["securityContext"]["runAsUser"] for _, _, pod in pods(RENDERED["minimal"])} == {10001}


def test_a_group_without_offsets_has_no_lag_and_workers_are_added_in_steps() -> None:
    for name in ("ha", "keda", "everything"):
        (scaled,) = of_kind(RENDERED[name], "ScaledObject")
        (lag,) = (each["metadata"] for each in scaled["spec"]["triggers"] if each["type"] == "kafka")
        assert (lag["offsetResetPolicy"], lag["scaleToZeroOnInvalidOffset"]) == ("earliest", "true")
        assert (lag["allowIdleConsumers"], lag["limitToPartitionsWithLag"]) == ("false", "true")
        assert scaled["spec"]["minReplicaCount"] >= 1
        up = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleUp"]
        assert up["policies"] == [{"type": "Percent", "value": 100, "periodSeconds": 60}]


@pytest.mark.parametrize("name", ["keda", "ha"])
def test_keda_logs_in_with_the_keys_of_a_secret(name: str) -> None:
    (scaled,) = of_kind(RENDERED[name], "ScaledObject")
    (authentication,) = of_kind(RENDERED[name], "TriggerAuthentication")
    trigger = scaled["spec"]["triggers"][0]
    assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == ("scram_sha512", "enable")
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
    references = {each["parameter"]: (each["name"], each["key"]) for each in authentication["spec"]["secretTargetRef"]}
    assert references == {
        "username": ("moderation-keda", "username"),
        "password": ("moderation-keda", "password"),
        "ca": ("moderation-keda", "ca.crt"),
    }


def test_keda_uses_an_authentication_that_exists() -> None:
    objects = RENDERED["extras of every pod and of one"]
    assert of_kind(objects, "TriggerAuthentication") == []
    reference = of_kind(objects, "ScaledObject")[0]["spec"]["triggers"][0]["authenticationRef"]
    assert reference == {"name": "kafka", "kind": _CLUSTER_KIND}


def test_extras_reach_the_pods_that_connect_to_servers() -> None:
    objects = RENDERED["extras of every pod and of one"]
    mounted, variables = {}, {}
    for name, _, pod in pods(objects):
        (container,) = pod["containers"]
        mounted[name] = {mount["mountPath"] for mount in container["volumeMounts"]} if name[:3] != "Pod" else set()
        variables[name] = environment(container).keys() & {"SSL_CERT_DIR", "OTHER", "HOOK"}
        assert container["securityContext"]["runAsUser"] == 20001
    connected = {name for name in variables if not name.startswith("Pod ")}
    assert len(connected) == 5
    for name in connected:
        assert "/etc/moderation/ca" in mounted[name], name
        own = {"OTHER"} if name.endswith("-worker") else {"HOOK"} if name.startswith("Job ") else set()
        assert variables[name] == {"SSL_CERT_DIR", *own}, name
    test = next(name for name in variables if name.startswith("Pod "))
    assert not variables[test], "the test connects to a worker only"


def test_files_of_a_worker_are_on_a_claim_where_one_is_named() -> None:
    for name, source in (
        ("extras of every pod and of one", {"persistentVolumeClaim": {"claimName": "worker-state"}}),
        ("minimal", {"emptyDir": {"sizeLimit": "2Gi"}}),
    ):
        volumes = named(RENDERED[name], "Deployment", "-worker")["spec"]["template"]["spec"]["volumes"]
        assert {"name": "state", **source} in volumes


def test_pods_that_connect_to_kafka_reach_the_issuer_of_tokens_at_the_port_of_its_url() -> None:
    values = VALUES["tokens of an issuer"]
    issuers = values["networkPolicy"]["oauth"]
    for endpoint, port in (("https://issuer.example.org/token", 443), ("http://issuer:8080/a:1/token", 8080)):
        objects = render(merged(values, {"kafka": {"connection": {"oauth_endpoint": endpoint}}}))
        reach = {
            each["metadata"]["name"].rpartition("-")[2]
            for each in of_kind(objects, "NetworkPolicy")
            for rule in each["spec"].get("egress", [])
            if rule.get("to") == issuers and rule["ports"] == [{"protocol": "TCP", "port": port}]
        }
        assert reach == {"worker", "source", "topics"}
        assert network_complaints(objects, 5432) == []


def test_jobs_get_the_addresses_and_secrets_that_the_jobs_of_compose_get_and_no_others() -> None:
    services = Files().services
    settings = (
        "MODERATION_KAFKA_BOOTSTRAP",
        "MODERATION_DATABASE_URL",
        "MODERATION_MLFLOW_URL",
        "MODERATION_SIGNING_KEY",
    )
    account = ("MODERATION_KAFKA_USERNAME", "MODERATION_KAFKA_PASSWORD")
    jobs = dict(containers([each for each in RENDERED["an account in Kafka"] if each["kind"] == "Job"]))
    assert len(jobs) == 3
    for name, container in jobs.items():
        job = name.rpartition(" ")[2]
        of_chart, of_compose = environment(container), services[job]["environment"]
        assert [each in of_chart for each in settings] == [each in of_compose for each in settings], job
        assert [each in of_chart for each in account] == [job == "topics"] * 2


def test_a_private_authority_is_mounted_where_the_variables_name_it() -> None:
    checked = 0
    for name, container in containers(RENDERED["private-ca"]):
        path = environment(container).get("MLFLOW_TRACKING_SERVER_CERT_PATH")
        if path is None:
            assert not name.startswith(("Deployment", "Job"))
            continue
        assert any(path.startswith(mount["mountPath"] + "/") for mount in container["volumeMounts"]), name
        checked += 1
    assert checked == 4
