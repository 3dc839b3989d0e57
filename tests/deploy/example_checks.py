"""Compare the examples for other charts with the chart and the code."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from packaging.requirements import Requirement

from grafana.source.provisioning import PASSWORD_FILE
from moderation import __version__
from moderation.adapters.kafka.topics import TOPICS
from moderation.settings import PREFIX, Settings
from tests.conftest import ROOT
from tests.deploy.chart import EXAMPLES, Object
from tests.deploy.chart_and_code import PROJECT, SHARED_TOPICS, secret_value
from tests.deploy.files import Files
from tests.deploy.schemas import schema_complaints

GRAFANA = ROOT / "grafana" / "provisioning"


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
        for acl in each["spec"].get("authorization", {}).get("acls", []) if each["kind"] == "KafkaUser" else []:
            if acl["resource"]["name"] not in topics:
                complaints.append(f"{each['metadata']['name']} has a right on {acl['resource']['name']}")
    open_ports = [str(each["port"]) for each in kafka["spec"]["kafka"]["listeners"] if "authentication" not in each]
    service, _, port = values["kafka"]["bootstrap"].partition(":")
    if not service.startswith(f"{cluster}-kafka-bootstrap.") or [port] != open_ports:
        complaints.append(f"{values['kafka']['bootstrap']} is not the listener that workers can use")
    for listener in kafka["spec"]["kafka"]["listeners"]:
        if "authentication" not in listener and not listener.get("networkPolicyPeers"):
            complaints.append(f"listener {listener['name']} is open to all clients")
    return complaints


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
    given: dict[str, Any] = {name: env[name] for name in env if name.startswith(PREFIX)}
    given |= {name: secret_value(name.removeprefix(PREFIX).lower()) for name in secrets if name.startswith(PREFIX)}
    fields = {name.removeprefix(PREFIX).lower(): value for name, value in given.items()}
    if unknown := fields.keys() - Settings.model_fields.keys():
        return [*complaints, f"no such setting: {sorted(unknown)}"]
    settings = Settings(**fields)
    if (settings.kafka_bootstrap, settings.mlflow_url) != (values["kafka"]["bootstrap"], values["mlflow"]["url"]):
        complaints.append("tasks use other servers than workers")
    if json.loads(env["AIRFLOW_CONN_KAFKA_DEFAULT"])["extra"]["bootstrap.servers"] != settings.kafka_bootstrap:
        complaints.append("triggers use another broker than tasks")
    shared = {
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
