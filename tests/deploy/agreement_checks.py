"""Compare docker-compose.yaml, images, Prometheus, pages and chart with the code and with each other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import ValidationError

from grafana.source.provisioning import PASSWORD_FILE
from local.stack.airflow import KAFKA_CONNECTION
from moderation import __version__
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import COMMENTS, RECORD_BATCH_MAX_BYTES, RETENTION_MS, RETRAIN_REQUESTS, TOPICS
from moderation.adapters.lake.schema import ARCHIVED
from moderation.errors import ConfigurationError
from moderation.settings import PREFIX, Settings
from tests.conftest import ROOT
from tests.deploy.files import CHART, COMPOSE, DEPLOY_PAGE, Files, Service
from tests.deploy.image_checks import unknown_settings

_LISTENS = {"postgres": {5432}, "prometheus": {9090}, "grafana": {3000}}
"""Ports of images of other projects, as they document them."""
_OWN = "comment-moderation-"
_CA_FILE = "MODERATION_KAFKA_CA_FILE"
_CHART = str(CHART.relative_to(ROOT))
GRAFANA_EXAMPLE = f"{_CHART}/examples/grafana.yaml"


def version() -> str:
    """The project's version."""
    return __version__


def listening(files: Files) -> dict[str, set[int]]:
    """The ports each service listens on."""
    stages, ports = files.stages, {}
    for name, service in files.services.items():
        if name == "kafka":
            ports[name] = set(map(int, re.findall(r":(\d+)", service["environment"]["KAFKA_LISTENERS"])))
        elif name in _LISTENS:
            ports[name] = _LISTENS[name]
        elif name == "airflow-scheduler":
            ports[name] = {8974}  # Airflow's [scheduler] scheduler_health_check_server_port
        elif name == "worker":
            environment = service["environment"]
            keys = ("MODERATION_WORKER_WEB_PORT", "MODERATION_METRICS_PORT")
            ports[name] = {int(environment.get(key, 0)) for key in keys}
        elif name in ("mlflow", "object-store"):
            ports[name] = stages[name].ports
        elif name == "airflow-api-server":
            ports[name] = stages["batch"].ports
    return ports


def wrong_ports(files: Files) -> list[str]:
    """Ports that a service names and no service listens on."""
    ports = listening(files)
    complaints = []
    for name, service in files.services.items():
        health = json.dumps(service.get("healthcheck", {}))
        command = " ".join(map(str, service.get("command") or []))
        for text in (*map(str, service.get("environment", {}).values()), health, command):
            for server, port in re.findall(r"\b([a-z][a-z-]*):(\d+)", text):
                if server in ports and int(port) not in ports[server]:
                    complaints.append(f"service {name}: it names {server}:{port}, which listens on {ports[server]}")
        own = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", health)}
        if not own <= ports.get(name, set()):
            complaints.append(f"service {name}: its health check asks {own}, it listens on {ports.get(name)}")
        for each in service.get("ports", []):
            if each["target"] not in ports.get(name, set()):
                complaints.append(f"service {name}: it publishes {each['target']}, it listens on {ports.get(name)}")
        if not {int(port) for port in service.get("expose", [])} <= ports.get(name, set()):
            complaints.append(f"service {name}: it exposes {service['expose']}, it listens on {ports.get(name)}")
    defaults = {Settings.model_fields[name].default for name in ("worker_web_port", "metrics_port")}
    if ports["worker"] != defaults:
        complaints.append(f"service worker: its ports are {ports['worker']}, the settings say {defaults}")
    if not defaults <= files.stages["worker"].ports:
        complaints.append(f"target worker: it exposes {files.stages['worker'].ports}, the settings say {defaults}")
    return complaints


def wrong_settings(files: Files) -> list[str]:
    """Settings that do not exist, or refuse the given value."""
    complaints = []
    for name, service in files.services.items():
        environment: dict[str, Any] = service.get("environment", {})
        complaints += [f"service {name}: there is no setting {key}" for key in unknown_settings(environment)]
        try:
            Settings(**_fields(environment))
        except ValidationError as error:
            complaints.append(f"service {name}: {error.errors()[0]['loc']} {error.errors()[0]['msg']}")
        except ConfigurationError as error:
            complaints.append(f"service {name}: {error}")
    return complaints


def missing_settings(files: Files) -> list[str]:
    """Missing settings without which a service would use its own machine's servers, or would not start."""
    certify = {"database_url", "mlflow_url", "verify_keys", "signing_key", "certificate_key"}
    batch = certify | {"kafka_bootstrap", "lake_url", "state_folder"}
    needed = {
        "worker": batch - {"lake_url", "signing_key", "certificate_key"} | {"worker_host"},
        "certify": certify,
        "airflow-scheduler": batch,
        "moderation": batch,
        "migrate": {"database_url"},
        "topics": {"kafka_bootstrap"},
        "source": {"kafka_bootstrap", "state_folder"},
    }
    complaints = []
    for name, keys in needed.items():
        environment = files.services[name].get("environment", {})
        absent = {PREFIX + key.upper() for key in keys} - environment.keys()
        complaints += [f"service {name}: {key} is missing" for key in sorted(absent)]
    private = {PREFIX + "SIGNING_KEY", PREFIX + "CERTIFICATE_KEY"}
    known = private & files.services["worker"].get("environment", {}).keys()
    return complaints + [
        f"service worker: it has {key}, with which it could sign certificates" for key in sorted(known)
    ]


def wrong_logins(files: Files) -> list[str]:
    """Services that log in to the ledger's database as another role than the one with the rights they need."""
    wanted = {"migrate": "moderation", "worker": "worker", "retire": "retention"}
    complaints = []
    for name, service in files.services.items():
        url = service.get("environment", {}).get("MODERATION_DATABASE_URL")
        login = urlsplit(url).username if url else None
        if login is not None and login != wanted.get(name, "batch"):
            complaints.append(f"service {name}: it logs in to PostgreSQL as {login}")
    return complaints


def wrong_folders(files: Files) -> list[str]:
    """State folders that a service cannot write to."""
    complaints = []
    for name, service in files.services.items():
        folder = service.get("environment", {}).get("MODERATION_STATE_FOLDER")
        stage = files.stages.get(service.get("build", {}).get("target", ""))
        if folder is None or stage is None:
            continue
        mounted = {str(each["target"]) for each in service.get("volumes", []) if not each.get("read_only")}
        if folder not in mounted and folder not in (stage.last("VOLUME") or ""):
            complaints.append(f"service {name}: no volume or tmpfs is writable at {folder}")
    return complaints


def wrong_topics(files: Files) -> list[str]:
    """Topics and broker settings that differ from the code."""
    complaints = []
    kafka = files.services["kafka"]["environment"]
    wanted = {
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_MESSAGE_MAX_BYTES": str(RECORD_BATCH_MAX_BYTES),
        "KAFKA_REPLICA_FETCH_MAX_BYTES": str(RECORD_BATCH_MAX_BYTES),
        "KAFKA_LOG_RETENTION_MS": str(RETENTION_MS),
    }
    complaints += [
        f"service kafka: {key} is {kafka.get(key)}" for key, value in wanted.items() if kafka.get(key) != value
    ]
    command = files.services["topics"]["command"]
    if command[command.index("--partitions") + 1] != str(COMMENTS.partitions):
        complaints.append(f"service topics: {command}, the code has {COMMENTS.partitions} partitions")
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d+) \| the (broker|producer)'s \|$", files.text(DEPLOY_PAGE), re.MULTILINE)
    by = {"LogAppendTime": "broker", "CreateTime": "producer"}
    if rows != [(each.name, str(each.partitions), by[each.timestamp_type]) for each in TOPICS]:
        complaints.append(f"{DEPLOY_PAGE}: its topics are {rows}")
    if f"Kept {RETENTION_MS // 86_400_000} days" not in files.text(DEPLOY_PAGE):
        complaints.append(f"{DEPLOY_PAGE}: it states another retention")
    archived = re.search(r"^TOPICS = (\(.*\))$", files.text("dags/archive_topics.py"), re.MULTILINE)
    if archived is None or archived[1] != str(tuple(ARCHIVED)).replace("'", '"'):
        complaints.append(f"dags/archive_topics.py: it archives {archived and archived[1]}")
    for name in (each.removeprefix("dags/") for each in _dags_that_listen(files)):
        listens = re.findall(r'topics=\[topic\("([a-z-]+)"\)\]', files.text(f"dags/{name}"))
        complaints += [f"dags/{name}: it listens to {topic}" for topic in listens if topic != RETRAIN_REQUESTS.name]
    return complaints


def _dags_that_listen(files: Files) -> list[str]:
    names = [f"dags/{path.name}" for path in sorted((ROOT / "dags").glob("*.py"))]
    return [name for name in names if "MessageQueueTrigger(" in files.text(name)]


def wrong_connection(files: Files) -> list[str]:
    """Differences of Airflow's connection to Kafka from the one that the settings of its tasks describe."""
    environment = files.services["airflow-scheduler"]["environment"]
    try:
        extra = kafka_of(Settings(**_fields(environment))).airflow_extra()
    except (ValidationError, ConfigurationError) as error:
        return [f"service airflow-scheduler: {error}"]
    if extra.pop("security.protocol") != "plaintext":
        extra |= {"security.protocol": "sasl_ssl", "ssl.ca.location": environment.get(_CA_FILE)}
    wanted = {"conn_type": "kafka", "extra": extra}
    complaints = []
    for name in ("airflow-scheduler", "airflow-triggerer"):
        said = json.loads(files.services[name]["environment"].get(KAFKA_CONNECTION, "null"))
        if said != wanted:
            complaints.append(f"service {name}: {KAFKA_CONNECTION} is {said}")
    return complaints


def wrong_images(files: Files) -> list[str]:
    """Images of this project with another name or version, and servers of other releases than in the tests."""
    complaints = []
    for name, service in files.services.items():
        image: str = service["image"]
        target = service.get("build", {}).get("target")
        if image.startswith(_OWN) and image != f"{_OWN}{target}:{version()}":
            complaints.append(f"service {name}: {image} is built from target {target} of version {version()}")
        if target is not None and target not in files.stages:
            complaints.append(f"service {name}: there is no target {target}")
    kafka = re.search(r"kafka_2\.13[^0-9]+([0-9.]+)", (ROOT / "local" / "stack" / "jars.lock").read_text())
    if kafka is None or files.services["kafka"]["image"] != f"apache/kafka:{kafka[1].rstrip('.')}":
        complaints.append(f"service kafka: {files.services['kafka']['image']}, the tests run {kafka and kafka[1]}")
    return complaints


def wrong_grafana(files: Files) -> list[str]:
    """Variables, password and dashboards that Grafana's provisioning needs and does not get."""
    service = files.services["grafana"]
    provisioned = "".join(path.read_text() for path in (ROOT / "grafana" / "provisioning").rglob("*.yaml"))
    asked = set(re.findall(r": \$([A-Z_]+)$", provisioned, re.MULTILINE))
    complaints = [f"service grafana: {name} is missing" for name in sorted(asked - service["environment"].keys())]
    mounts = {each["target"]: each for each in service["volumes"]}
    for target, source in (
        ("/etc/grafana/provisioning", "grafana/provisioning"),
        (service["environment"].get("GRAFANA_DASHBOARDS_PATH"), "grafana/dashboards"),
    ):
        mount = mounts.get(target, {})
        if mount.get("source") != str(ROOT / source) or not mount.get("read_only"):
            complaints.append(f"service grafana: {source} is not mounted read-only at {target}")
    if PASSWORD_FILE not in " ".join(service["entrypoint"]):
        complaints.append(f"service grafana: nothing writes {PASSWORD_FILE}")
    if service["image"].rpartition(":")[2] != yaml.safe_load(files.text(GRAFANA_EXAMPLE))["image"]["tag"]:
        complaints.append(f"service grafana: {service['image']} is not of the version in {GRAFANA_EXAMPLE}")
    if service["environment"].get("GRAFANA_POSTGRES_USER") != "grafana":
        complaints.append("service grafana: its login is not the one that docker/postgres/databases.sh creates")
    return complaints


def missing_on_the_page(files: Files) -> list[str]:
    """Profiles, published ports and jobs that are missing in docs/deploy.md."""
    page, services = files.text(DEPLOY_PAGE), files.services
    profiles = {profile for service in services.values() for profile in service.get("profiles", [])}
    told = set(re.findall(r"^\| `([a-z]+)` \| ", page.partition("### Profiles")[2].partition("###")[0], re.MULTILINE))
    complaints = [f"{DEPLOY_PAGE}: its profiles are {told}, those of the file {profiles}"] if told != profiles else []
    published = {int(each["published"]) for service in services.values() for each in service.get("ports", [])}
    addresses = {int(port) for port in re.findall(r"^\| `127\.0\.0\.1:(\d+)` ", page, re.MULTILINE)}
    if addresses != published:
        complaints.append(f"{DEPLOY_PAGE}: it lists the ports {addresses}, the file publishes {published}")
    jobs = {name for name, service in services.items() if service["restart"] == "no"} - {"moderation"}
    complaints += [f"{DEPLOY_PAGE}: job {name} is missing" for name in sorted(jobs) if f"`{name}`" not in page]
    return complaints


def wrong_memory(files: Files) -> list[str]:
    """A sum of memory limits in docs/deploy.md that differs from docker-compose.yaml."""
    gigabytes = {name: int(each["deploy"]["resources"]["limits"]["memory"]) >> 30 for name, each in _lasting(files)}
    always = sum(gigabytes[name] for name, each in _lasting(files) if not each.get("profiles"))
    wanted = (
        f"add up to {always} GB for the speed layer with one\nworker, and to {sum(gigabytes.values())} GB with every"
    )
    return [] if wanted in files.text(DEPLOY_PAGE) else [f"{DEPLOY_PAGE}: it does not say {wanted!r}"]


def _lasting(files: Files) -> list[tuple[str, Service]]:
    return [(name, service) for name, service in files.services.items() if service["restart"] != "no"]


def differs_from_chart(files: Files) -> list[str]:
    """Images, ports and settings of the chart that differ from docker-compose.yaml; empty without a chart."""
    if not CHART.is_dir():
        return []
    texts = {str(path.relative_to(CHART)): files.text(str(path.relative_to(ROOT))) for path in sorted(_chart_files())}
    values, chart = yaml.safe_load(texts["values.yaml"]), yaml.safe_load(texts["Chart.yaml"])
    worker: Service = files.services["worker"]
    complaints = []
    if f"{values['image']['repository']}:{chart['appVersion']}" != worker["image"]:
        complaints.append(
            f"the chart's image is {values['image']['repository']}:{chart['appVersion']}, not {worker['image']}"
        )
    source = f"{values['source']['image']['repository']}:{chart['appVersion']}"
    if source != files.services["source"]["image"]:
        complaints.append(f"the chart's image of the source is {source}, not {files.services['source']['image']}")
    ports = {values["worker"]["webPort"], values["worker"]["metricsPort"]}
    if ports != listening(files)["worker"]:
        complaints.append(f"the chart's ports of a worker are {ports}")
    command = re.search(r"command: \[(.*)\]", texts["templates/worker/deployment.yaml"])
    if command is None or command[1].split(", ") != worker["command"][1:]:
        complaints.append(f"the chart starts a worker by {command and command[1]}")
    user = ":".join(str(values["podSecurityContext"][key]) for key in ("runAsUser", "runAsGroup"))
    if user != files.stages["worker"].last("USER"):
        complaints.append(f"the chart's pods run as {user}, the image as {files.stages['worker'].last('USER')}")
    everything = "".join(texts.values())
    names = dict.fromkeys(re.findall(r"name: (MODERATION_[A-Z_]+)\b", everything), "")
    complaints += [f"the chart uses {name}, which is no setting" for name in unknown_settings(names)]
    topics = {each.name for each in TOPICS}
    named = set(re.findall(r"topicPrefix \}\}([a-z-]+)", everything)) | set(
        re.findall(r'printf "%s([a-z-]+)" [$.]*Values.kafka.topicPrefix', everything)
    )
    complaints += [f"the chart names topic {name}, which the code does not have" for name in sorted(named - topics)]
    return complaints


def _chart_files() -> list[Path]:
    return [path for path in CHART.rglob("*") if path.suffix in (".yaml", ".tpl")]


def _fields(environment: dict[str, Any]) -> dict[str, Any]:
    """Existing settings among variables."""
    names = {PREFIX + name.upper(): name for name in Settings.model_fields}
    # Settings require that this file exists; in a container it does.
    existing = {key: __file__ if key == _CA_FILE else value for key, value in environment.items()}
    return {names[key]: value for key, value in existing.items() if key in names}


CHECKS = (
    wrong_ports,
    wrong_settings,
    missing_settings,
    wrong_logins,
    wrong_folders,
    wrong_topics,
    wrong_connection,
    wrong_images,
    wrong_grafana,
    missing_on_the_page,
    wrong_memory,
    differs_from_chart,
)
# Alterations that a check must detect: the check, the file, the text and its replacement.
BREAKS: tuple[tuple[Callable[[Files], list[str]], str, str, str], ...] = (
    (wrong_ports, COMPOSE, "MODERATION_KAFKA_BOOTSTRAP: kafka:9092", "MODERATION_KAFKA_BOOTSTRAP: kafka:9094"),
    (wrong_ports, COMPOSE, 'MODERATION_WORKER_WEB_PORT: "6066"', 'MODERATION_WORKER_WEB_PORT: "6065"'),
    (wrong_ports, COMPOSE, "http://127.0.0.1:6066/health", "http://127.0.0.1:6067/../6068:127.0.0.1:6068/"),
    (wrong_ports, COMPOSE, "@postgres:5432/mlflow", "@postgres:5433/mlflow"),
    (wrong_ports, COMPOSE, "AWS_ENDPOINT_URL: http://object-store:8333", "AWS_ENDPOINT_URL: http://object-store:9000"),
    (wrong_ports, COMPOSE, '"127.0.0.1:${AIRFLOW_PORT:-8080}:8080"', '"127.0.0.1:8080:8081"'),
    (wrong_ports, COMPOSE, 'expose: ["6066", "6067"]', 'expose: ["6066", "9100"]'),
    (wrong_ports, "Dockerfile", "EXPOSE 6066 6067", "EXPOSE 8066 6067"),
    (wrong_settings, COMPOSE, "  MODERATION_LAKE_URL:", "  MODERATION_LAKE:"),
    (wrong_settings, COMPOSE, "${MODERATION_LOG_LEVEL:-info}", "${MODERATION_LOG_LEVEL:-verbose}"),
    (wrong_settings, COMPOSE, 'MODERATION_METRICS_PORT: "6067"', 'MODERATION_METRICS_PORT: "66067"'),
    (missing_settings, COMPOSE, "  MODERATION_LAKE_URL: s3://moderation-lake/lake\n", ""),
    (missing_settings, COMPOSE, "    environment: *owner-settings\n", ""),
    (wrong_logins, COMPOSE, "*worker-database-settings, *model", "*database-settings, *model"),
    (wrong_logins, COMPOSE, "environment: *owner-settings", "environment: *database-settings"),
    (wrong_logins, COMPOSE, "postgresql://retention:", "postgresql://moderation:"),
    (missing_settings, COMPOSE, "  MODERATION_VERIFY_KEYS:", "  MODERATION_SIGNING_KEY:"),
    (wrong_folders, COMPOSE, "MODERATION_STATE_FOLDER: /var/lib/moderation", "MODERATION_STATE_FOLDER: /srv"),
    (wrong_topics, "dags/archive_topics.py", '("comments", "actions")', '("remarks", "actions")'),
    (wrong_topics, "dags/retrain_model.py", 'topic("retrain-requests")', 'topic("retraining")'),
    (wrong_topics, DEPLOY_PAGE, "| `alerts` | 4 |", "| `alarms` | 4 |"),
    (wrong_topics, DEPLOY_PAGE, "| `panes` | 4 |", "| `panes` | 8 |"),
    (wrong_topics, COMPOSE, "${KAFKA_PARTITIONS:-4}", "${KAFKA_PARTITIONS:-8}"),
    (wrong_topics, COMPOSE, 'KAFKA_MESSAGE_MAX_BYTES: "1114112"', 'KAFKA_MESSAGE_MAX_BYTES: "1048576"'),
    (wrong_topics, COMPOSE, 'KAFKA_AUTO_CREATE_TOPICS_ENABLE: "false"', 'KAFKA_AUTO_CREATE_TOPICS_ENABLE: "true"'),
    (wrong_connection, COMPOSE, '"enable.auto.commit": false, ', ""),
    (wrong_images, COMPOSE, "image: comment-moderation-worker:0.1.0", "image: comment-moderation-worker:0.2.0"),
    (wrong_images, COMPOSE, "target: batch,", "target: airflow,"),
    (wrong_images, COMPOSE, "apache/kafka:4.4.0", "apache/kafka:4.3.1"),
    (wrong_grafana, COMPOSE, "GRAFANA_POSTGRES_SSLMODE: disable", "GRAFANA_SSLMODE: disable"),
    (wrong_grafana, COMPOSE, "/run/secrets/moderation_grafana_password", "/run/secrets/grafana_password"),
    (wrong_grafana, COMPOSE, "./grafana/dashboards:/etc/grafana/dashboards:ro", "./grafana:/etc/grafana/dashboards:ro"),
    (wrong_grafana, GRAFANA_EXAMPLE, "tag: 13.1.3", "tag: 13.1.2"),
    (wrong_memory, COMPOSE, "${WORKER_MEMORY:-3G}", "${WORKER_MEMORY:-4G}"),
    (wrong_memory, COMPOSE, "${AIRFLOW_MEMORY:-2G}", "${AIRFLOW_MEMORY:-1G}"),
    (missing_on_the_page, DEPLOY_PAGE, "| `127.0.0.1:3000` |", "| `127.0.0.1:3001` |"),
    (missing_on_the_page, COMPOSE, "profiles: [traffic]", "profiles: [load]"),
)
CHART_BREAKS = (
    (differs_from_chart, f"{_CHART}/values.yaml", "  webPort: 6066", "  webPort: 6060"),
    (differs_from_chart, f"{_CHART}/values.yaml", "comment-moderation-worker", "comment-moderation"),
    (differs_from_chart, f"{_CHART}/Chart.yaml", "appVersion: 0.1.0", "appVersion: 0.2.0"),
    (differs_from_chart, f"{_CHART}/templates/worker/deployment.yaml", "MODERATION_WORKER_HOST", "MODERATION_HOST"),
    (differs_from_chart, f"{_CHART}/templates/worker/deployment.yaml", "uvloop, worker]", "asyncio, worker]"),
    (differs_from_chart, f"{_CHART}/templates/worker/scaledobject.yaml", "%scomments", "%sremarks"),
    (differs_from_chart, f"{_CHART}/values.yaml", "runAsUser: 10001", "runAsUser: 10002"),
    (differs_from_chart, "Dockerfile", "USER 10001:10001", "USER 10001:0"),
    (differs_from_chart, COMPOSE, "comment-moderation-worker:0.1.0", "comment-moderation-worker:0.2.0"),
    (differs_from_chart, COMPOSE, "comment-moderation-source:0.1.0", "comment-moderation-worker:0.1.0"),
)
if CHART.is_dir():
    BREAKS += CHART_BREAKS
