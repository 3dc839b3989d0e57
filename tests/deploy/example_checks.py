"""Compare the examples for other charts with the chart and the code."""

from __future__ import annotations

import re
from typing import Any

import yaml
from packaging.requirements import Requirement

from grafana.source.provisioning import PASSWORD_FILE
from local.stack.airflow import KAFKA_CONNECTION
from moderation import __version__
from moderation.adapters.kafka.permissions import (
    CLUSTER,
    ROLES,
    Permission,
    compare_permissions,
    needed_permissions,
    principals,
)
from moderation.adapters.kafka.topics import COMMENTS, TOPICS
from moderation.errors import ConfigurationError
from moderation.settings import PREFIX, Settings
from tests.conftest import ROOT
from tests.deploy.chart import EXAMPLES, Object
from tests.deploy.chart_and_code import PROJECT, SHARED_TOPICS, secret_value
from tests.deploy.files import Files
from tests.deploy.schemas import schema_complaints

GRAFANA = ROOT / "grafana" / "provisioning"
KEDA = "moderation-keda"
"""The user with which KEDA reads the lag."""
AUTHORITY = {"secretName": "moderation-kafka-ca"}
"""The secret with the certificate of the authority that signs brokers' certificates."""


def kafka_documents() -> list[Object]:
    """All documents in strimzi.yaml."""
    return list(yaml.safe_load_all((EXAMPLES / "strimzi.yaml").read_text()))


def kafka_complaints(documents: list[Object], values: Object) -> list[str]:
    """Differences between Strimzi's resources, the code's topics and values of the chart."""
    complaints = schema_complaints(documents)
    topics = {each["metadata"]["name"]: each["spec"] for each in documents if each["kind"] == "KafkaTopic"}
    wanted = {topic.name: topic for topic in TOPICS}
    if topics.keys() != wanted.keys():
        complaints.append(f"the topics are {sorted(topics)}, not {sorted(wanted)}")
    for name in topics.keys() & wanted.keys():
        topic, spec = wanted[name], topics[name]
        partitions = values["kafka"]["partitions"] if topic in SHARED_TOPICS else topic.partitions
        if (spec["partitions"], spec["replicas"]) != (partitions, values["kafka"]["replication"]):
            complaints.append(f"{name} has {spec['partitions']} partitions and {spec['replicas']} copies")
        if {key: str(value) for key, value in spec["config"].items()} != topic.configuration():
            complaints.append(f"{name} has other settings than the code's")
    (kafka,) = (each for each in documents if each["kind"] == "Kafka")
    cluster = kafka["metadata"]["name"]
    for each in documents:
        if each["kind"] != "Kafka" and each["metadata"]["labels"]["strimzi.io/cluster"] != cluster:
            complaints.append(f"{each['kind']} {each['metadata']['name']} belongs to no cluster")
    return complaints + _listener_complaints(kafka, values) + _permission_complaints(documents, values)


def _listener_complaints(kafka: Object, values: Object) -> list[str]:
    """Listeners without TLS or accounts, super users, and an address or login that no listener has."""
    complaints, spec = [], kafka["spec"]["kafka"]
    for listener in spec["listeners"]:
        if not listener["tls"] or listener.get("authentication") != {"type": "scram-sha-512"}:
            complaints.append(f"listener {listener['name']} does not demand TLS and an account")
    service, _, port = values["kafka"]["bootstrap"].partition(":")
    ports = [str(each["port"]) for each in spec["listeners"]]
    if not service.startswith(f"{kafka['metadata']['name']}-kafka-bootstrap.") or port not in ports:
        complaints.append(f"{values['kafka']['bootstrap']} is no listener")
    if spec["authorization"] != {"type": "simple"}:
        complaints.append(f"more users than Strimzi's own may do everything: {spec['authorization']}")
    connection = values["kafka"]["connection"]
    if (connection["security_protocol"], connection["sasl_mechanism"]) != ("sasl_ssl", "SCRAM-SHA-512"):
        complaints.append("workers log in otherwise than the listener demands")
    return complaints


def _permission_complaints(documents: list[Object], values: Object) -> list[str]:
    """Users whose permissions differ from what their role or KEDA needs, and what the hook `topics` would change."""
    users = {each["metadata"]["name"]: each["spec"] for each in documents if each["kind"] == "KafkaUser"}
    complaints = [
        f"user {name} cannot log in"
        for name, spec in users.items()
        if spec["authentication"] != {"type": "scram-sha-512"}
    ]
    present = {name: permissions_of(name, spec["authorization"]["acls"]) for name, spec in users.items()}
    connection = values["kafka"]["connection"]
    named = {f"kafka_{key}": value for key, value in connection.items() if key.endswith("_principal")}
    settings = Settings.model_validate(named)
    needed = needed_permissions(settings)
    lag = (("TOPIC", COMMENTS.name), ("GROUP", settings.consumer_group))
    keda = frozenset(Permission(f"User:{KEDA}", "DESCRIBE", resource, name) for resource, name in lag)
    wanted = {f"User:{KEDA}": keda} | {
        principal: frozenset(each for each in needed if each.principal == principal)
        for principal in principals(settings).values()
    }
    if len(wanted) != len(ROLES) + 1 or {f"User:{name}" for name in present} != wanted.keys():
        complaints.append(f"the users are {sorted(present)}, those of the values {sorted(wanted)}")
    for name, permissions in present.items():
        for each in permissions ^ wanted.get(f"User:{name}", frozenset()):
            complaints.append(f"user {name}: {'not needed' if each in permissions else 'missing'}: {each}")
    report = compare_permissions(needed, frozenset().union(*present.values()))
    for what, entries in (("grant", report.missing), ("refuse", report.too_broad), ("refuse", report.denied)):
        complaints += [f"`moderation topics` would {what}: {each}" for each in entries]
    return complaints


def permissions_of(user: str, acls: list[Object]) -> frozenset[Permission]:
    """The permissions on the brokers that Strimzi makes of the rules of a user."""
    return frozenset(
        Permission(
            f"User:{user}",
            re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper(),
            acl["resource"]["type"].upper(),
            CLUSTER if acl["resource"]["type"] == "cluster" else acl["resource"]["name"],
            {"literal": "LITERAL", "prefix": "PREFIXED"}[acl["resource"].get("patternType", "literal")],
            acl.get("type", "allow") == "allow",
            acl.get("host", "*"),
        )
        for acl in acls
        for operation in acl["operations"]
    )


def airflow_complaints(airflow: Object, values: Object) -> list[str]:
    """Differences between Airflow's values, the settings and values of the chart."""
    complaints = []
    if airflow["images"]["airflow"] != {"repository": "comment-moderation-batch", "tag": __version__}:
        complaints.append(f"the image is {airflow['images']['airflow']}")
    extra = PROJECT["optional-dependencies"]["airflow"]
    needed = next(Requirement(text) for text in extra if Requirement(text).name == "apache-airflow")
    if not needed.specifier.contains(airflow["airflowVersion"]):
        complaints.append(f"Airflow {airflow['airflowVersion']} is not {needed}")
    most = Files().services["airflow-scheduler"]["environment"]["AIRFLOW__CORE__PARALLELISM"]
    if airflow["config"]["core"].get("parallelism") != most:
        complaints.append(f"the scheduler runs other than {most} tasks at once")
    env = {each["name"]: each["value"] for each in airflow["env"]}
    secrets = {each["envName"]: each["secretName"] for each in airflow["secret"]}
    connection = {f"MODERATION_KAFKA_{key.upper()}": value for key, value in values["kafka"]["connection"].items()}
    for name, value in connection.items():
        if not name.endswith("_PRINCIPAL") and env.get(name) != value:
            complaints.append(f"tasks connect to Kafka otherwise than workers: {name} is {env.get(name)}")
    path = env.get("MODERATION_KAFKA_CA_FILE", "")
    mounts = {f"{each['mountPath']}/ca.crt": each["name"] for each in airflow["volumeMounts"]}
    if mounts.get(path) not in [each["name"] for each in airflow["volumes"] if each.get("secret") == AUTHORITY]:
        complaints.append(f"the authority of the brokers is not mounted at {path}")
    given: dict[str, Any] = {
        name: __file__ if name.endswith("_CA_FILE") else env[name] for name in env if name.startswith(PREFIX)
    }
    given |= {name: secret_value(name.removeprefix(PREFIX).lower()) for name in secrets if name.startswith(PREFIX)}
    fields = {name.removeprefix(PREFIX).lower(): value for name, value in given.items()}
    if unknown := fields.keys() - Settings.model_fields.keys():
        return [*complaints, f"no such setting: {sorted(unknown)}"]
    try:
        settings = Settings(**fields)
    except ConfigurationError as error:
        return [*complaints, str(error)]
    if (settings.kafka_bootstrap, settings.mlflow_url) != (values["kafka"]["bootstrap"], values["mlflow"]["url"]):
        complaints.append("tasks use other servers than workers")
    shared = {
        KAFKA_CONNECTION: "moderation-kafka-connection",
        "MODERATION_KAFKA_USERNAME": "moderation-kafka-batch",
        "MODERATION_KAFKA_PASSWORD": "moderation-kafka-batch",
        "MODERATION_DATABASE_URL": values["database"]["existingSecret"],
        "MODERATION_SIGNING_KEY": values["certificate"]["existingSecret"],
        "MODERATION_EXPLORATION_KEY": values["exploration"]["existingSecret"],
        "MODERATION_MLFLOW_USERNAME": "moderation-mlflow-batch",
        "MODERATION_MLFLOW_PASSWORD": "moderation-mlflow-batch",
    }
    return complaints + [
        f"{name} comes from {secrets.get(name)}" for name in shared if secrets.get(name) != shared[name]
    ]


def mlflow_complaints(mlflow: Object, values: Object) -> list[str]:
    """Differences between MLflow's values and those of the chart."""
    complaints = []
    images = [mlflow["image"], mlflow["initImages"]["mlflowDbMigration"]]
    if any(image != {"repository": "comment-moderation-mlflow", "tag": __version__} for image in images):
        complaints.append(f"the images are {images}")
    function = re.search(r"^authorization_function = (.+)$", (ROOT / "mlflow/entrypoint.sh").read_text(), re.MULTILINE)
    if function is None or mlflow["auth"].get("authorizationFunction") != function[1]:
        complaints.append("accounts have other rights than in the image")
    address = values["mlflow"]["url"].partition("://")[2]
    if address not in mlflow["serverAllowedHosts"]:
        complaints.append(f"MLflow refuses the host {address}")
    if int(address.rpartition(":")[2]) != mlflow["service"]["port"]:
        complaints.append(f"MLflow does not listen at {address}")
    if not mlflow["artifactRoot"]["proxiedArtifactStorage"]:
        complaints.append("workers would have to reach the object storage")
    return complaints


def grafana_complaints(grafana: Object, defaults: Object) -> list[str]:
    """Differences between Grafana's values, the chart's ConfigMaps and the provisioned data sources."""
    complaints = []
    for sidecar, monitoring in (("dashboards", "dashboards"), ("alerts", "grafanaAlerts")):
        asked = grafana["sidecar"][sidecar]
        if {asked["label"]: asked["labelValue"]} != defaults["monitoring"][monitoring]["labels"]:
            complaints.append(f"the sidecar does not find the {sidecar}")
    folder = grafana["sidecar"]["dashboards"]["folderAnnotation"]
    if folder not in defaults["monitoring"]["dashboards"]["annotations"]:
        complaints.append("the dashboards have no folder")
    provisioned = yaml.safe_load((GRAFANA / "datasources" / "moderation.yaml").read_text())["datasources"]
    given = grafana["datasources"]["moderation.yaml"]["datasources"]
    keys = ("uid", "type", "name", "secureJsonData")
    if [[each.get(key) for key in keys] for each in given] != [[each.get(key) for key in keys] for each in provisioned]:
        complaints.append("the data sources are others than the dashboards'")
    security = given[0]["jsonData"]
    folders = [mount["mountPath"] for mount in grafana.get("extraConfigmapMounts", [])]
    if security["sslmode"] != "verify-full" or security["tlsConfigurationMethod"] != "file-path":
        complaints.append("the connection to PostgreSQL does not verify the server by a file")
    if not any(security["sslRootCertFile"].startswith(f"{folder}/") for folder in folders):
        complaints.append(f"nothing is mounted at {security['sslRootCertFile']}")
    if [mount["mountPath"] for mount in grafana["extraSecretMounts"]] != [PASSWORD_FILE]:
        complaints.append("the password is not at the path of the data source")
    return complaints


def literal_secrets(values: object, path: str = "") -> list[str]:
    """Places where values contain a secret instead of a secret's name."""
    if isinstance(values, list):
        return [
            complaints for number, each in enumerate(values) for complaints in literal_secrets(each, f"{path}/{number}")
        ]
    if not isinstance(values, dict):
        return []
    complaints = []
    for key, value in values.items():
        inside = f"{path}/{key}"
        is_secret = any(word in key.lower() for word in ("password", "secretkey", "fernetkey", "accesskeyid", "token"))
        names_one = key.endswith(("Key", "Name", "SecretName", "keyOfAccessKeyId", "keyOfSecretAccessKey"))
        names_one = names_one or path.endswith("/authentication/keys")  # of a Secret, by parameter
        if is_secret and isinstance(value, str) and not names_one and not value.startswith("$__file{"):
            complaints.append(inside)
        complaints += literal_secrets(value, inside)
    return complaints
