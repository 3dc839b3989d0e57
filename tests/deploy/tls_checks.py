"""Rules for docker-compose.yaml with docker-compose.tls.yaml. Each check returns complaints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from local.stack.airflow import KAFKA_CONNECTION
from moderation.adapters.kafka.permissions import ROLES
from tests.conftest import ROOT
from tests.deploy.files import COMPOSE, HBA, TLS_COMPOSE, Files, Service

JOB, CA = "certificates", "/etc/tls/authority/ca.pem"
_ADMIN = "admin"
_KAFKA_ROLES = {"topics": _ADMIN, "moderation": "operator", "worker": "worker", "source": "source"} | {
    "airflow-scheduler": "batch"
}
"""Account of each service with settings of Kafka; that of `topics` is a super user."""
_LIBPQ = "PGSSLMODE", "PGSSLROOTCERT"
_DATABASES = re.compile(r"^postgresql(\+\w+)?://")
_ACCOUNTS = re.compile(r'user_(\w+)="([^"]+)"')


def unverified_databases(files: Files) -> list[str]:
    """Services that connect to PostgreSQL without verifying its certificate."""
    complaints = []
    for name, service in files.services.items():
        environment = service.get("environment", {})
        urls = {key: value for key, value in environment.items() if _DATABASES.match(str(value))}
        for key, url in urls.items():
            if key == "MODERATION_DATABASE_URL":
                verifies = environment.get("MODERATION_DATABASE_CA_FILE") == CA
            else:
                verifies = [environment.get(each) for each in _LIBPQ] == ["verify-full", CA]
            if not verifies or "ssl" in urlsplit(url).query:
                complaints.append(f"service {name}: {key} does not verify the certificate by {CA}")
    grafana = files.services["grafana"]["environment"]
    if [grafana.get(f"GRAFANA_POSTGRES_{each}") for each in ("SSLMODE", "CA_FILE")] != ["verify-full", CA]:
        complaints.append(f"service grafana: it does not verify the certificate by {CA}")
    return complaints


def unverified_brokers(files: Files) -> list[str]:
    """Services that connect to Kafka without TLS, or as another account than that of their role."""
    complaints = []
    accounts = accounts_of(files, "INTERNAL")
    clients = {name: each for name, each in _environments(files) if "MODERATION_KAFKA_BOOTSTRAP" in each}
    if clients.keys() != _KAFKA_ROLES.keys():
        complaints.append(f"services {sorted(clients)} connect to Kafka, {sorted(_KAFKA_ROLES)} have an account")
    for name, environment in clients.items():
        account = _KAFKA_ROLES.get(name, "none")
        wanted = {
            "SECURITY_PROTOCOL": "sasl_ssl",
            "SASL_MECHANISM": "PLAIN",
            "CA_FILE": CA,
            "VERIFY_HOSTNAME": None,
            "USERNAME": account,
            "PASSWORD": accounts.get(account),
        }
        for key, value in wanted.items():
            if environment.get(f"MODERATION_KAFKA_{key}") != value:
                complaints.append(f"service {name}: MODERATION_KAFKA_{key} is not {value}")
    for name, environment in _environments(files):
        extra = json.loads(environment.get(KAFKA_CONNECTION, "{}")).get("extra", {})
        if extra and (extra.get("security.protocol"), extra.get("ssl.ca.location")) != ("sasl_ssl", CA):
            complaints.append(f"service {name}: {KAFKA_CONNECTION} does not verify the certificate by {CA}")
    return complaints


def accounts_of(files: Files, listener: str) -> dict[str, str]:
    """Passwords of the accounts that a listener of Kafka accepts."""
    key = f"KAFKA_LISTENER_NAME_{listener}_PLAIN_SASL_JAAS_CONFIG"
    return dict(_ACCOUNTS.findall(files.services["kafka"]["environment"].get(key, "")))


def open_listeners(files: Files) -> list[str]:
    """Listeners of Kafka that other containers reach without TLS and an account, and rights that everyone has."""
    kafka = files.services["kafka"]["environment"]
    protocols = dict(each.split(":") for each in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    listeners = re.findall(r"(\w+)://([^:,]*):(\d+)", kafka["KAFKA_LISTENERS"])
    complaints = []
    for name, host, port in listeners:
        if host == "127.0.0.1":
            continue
        if protocols.get(name) != "SASL_SSL":
            complaints.append(f"service kafka: others reach its listener {name} by {protocols.get(name)}")
        if accounts_of(files, name).keys() != {_ADMIN, *ROLES}:
            complaints.append(f"service kafka: port {port} has the accounts {sorted(accounts_of(files, name))}")
    wanted = {
        "KAFKA_SASL_ENABLED_MECHANISMS": "PLAIN",
        "KAFKA_AUTHORIZER_CLASS_NAME": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "KAFKA_SUPER_USERS": f"User:ANONYMOUS;User:{_ADMIN}",
        "KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND": None,
        "KAFKA_SSL_KEYSTORE_TYPE": "PEM",
    }
    complaints += [f"service kafka: {key} is not {value}" for key, value in wanted.items() if kafka.get(key) != value]
    topics = files.services["topics"]["environment"]
    for role in ROLES:
        if topics.get(f"MODERATION_KAFKA_{role.upper()}_PRINCIPAL") != f"User:{role}":
            complaints.append(f"service topics: it grants the account {role} nothing")
    return complaints


def open_database(files: Files) -> list[str]:
    """Ways into PostgreSQL without TLS or without a password, and options that the file over the other one loses."""
    command = files.services["postgres"]["command"]
    lost = set(Files().services["postgres"]["command"]) - set(command)
    complaints = [f"service postgres: its command lacks {option}" for option in sorted(lost)]
    if not {"-cssl=on", f"-chba_file={_container_path(files, HBA)}"} <= set(command):
        complaints.append(f"service postgres: it does not demand TLS by {HBA}: {command}")
    lines = [line.split() for line in files.text(HBA).splitlines() if line and not line.startswith("#")]
    for kind, *_, method in lines:
        if kind not in ("local", "hostssl") or (kind == "hostssl" and method != "scram-sha-256"):
            complaints.append(f"{HBA}: a line allows {kind} by {method}")
    return complaints


def misplaced_files(files: Files) -> list[str]:
    """Files of certificates that are not mounted where they are named, and keys that others can read."""
    complaints = []
    servers = {name for name, *_ in certified(files)}
    for name, service in files.services.items():
        mounts = {each["target"]: each for each in service.get("volumes", [])}
        for path in sorted(set(re.findall(r"(/(?:etc|opt)/tls/[\w./-]+)", _texts(service)))):
            mount = mounts.get(str(PurePosixPath(path).parent), {})
            if not mount.get("read_only"):
                complaints.append(f"service {name}: nothing is mounted read-only for {path}")
            wanted = {"/etc/tls/authority": "tls-authority", "/etc/tls/server": f"tls-{name}"}
            if (source := wanted.get(mount.get("target", ""))) and mount["source"] != source:
                complaints.append(f"service {name}: {mount['target']} is {mount['source']}, not {source}")
        for mount in mounts.values():
            keys = {"tls-signing"} | {f"tls-{server}" for server in servers - {name}}
            if name != JOB and mount["source"] in keys:
                complaints.append(f"service {name}: it can read the keys in {mount['source']}")
    return complaints


def wrong_certificates(files: Files) -> list[str]:
    """Certificates without a name by which clients connect, and keys that their server cannot read."""
    complaints = []
    job = files.services[JOB]
    if str(job.get("user")) != "0:0" or job.get("network_mode") != "none":
        complaints.append(f"service {JOB}: it is user {job.get('user')} in network {job.get('network_mode')}")
    mounts = {each["target"]: each["source"] for each in job["volumes"]}
    wanted = {"/tls/signing": "tls-signing", "/tls/authority": "tls-authority"}
    for server, group, hosts in certified(files):
        wanted[f"/tls/{server}"] = f"tls-{server}"
        if group != str(files.services[server]["user"]).rpartition(":")[2] or group not in job.get("group_add", []):
            complaints.append(f"service {JOB}: group {group} is not that of {server}, or it is not a member")
        named = {server, *("127.0.0.1" for _ in files.services[server].get("ports", []))}
        if not named <= set(hosts):
            complaints.append(f"service {JOB}: the certificate of {server} does not name {named - set(hosts)}")
        needed = files.services[server].get("depends_on", {})
        if JOB not in needed:
            complaints.append(f"service {server}: it does not wait for its certificate")
    if {server for server, *_ in certified(files)} != {"kafka", "postgres"}:
        complaints.append(f"service {JOB}: its servers are {job['command']}")
    complaints += [f"service {JOB}: {at} is not {source}" for at, source in wanted.items() if mounts.get(at) != source]
    return complaints


def certified(files: Files) -> Iterator[tuple[str, str, list[str]]]:
    """Name, group and hosts of each server that the job makes a certificate for."""
    for argument in files.services[JOB]["command"]:
        if match := re.fullmatch(r"(\d+):([a-z]+):(\S+)", argument):
            yield match[2], match[1], match[3].split(",")


def _environments(files: Files) -> Iterator[tuple[str, dict[str, str]]]:
    for name, service in files.services.items():
        yield name, service.get("environment", {})


def _texts(service: Service) -> str:
    return "\n".join([*map(str, service.get("environment", {}).values()), *map(str, service.get("command") or [])])


def _container_path(files: Files, name: str) -> str:
    """The path in PostgreSQL's container of a file that is mounted from the checkout."""
    path = ROOT / name
    for mount in files.services["postgres"]["volumes"]:
        if mount["source"] == str(path.parent):
            return f"{mount['target']}/{path.name}"
    return "nowhere"


CHECKS = (
    unverified_databases,
    unverified_brokers,
    open_listeners,
    open_database,
    misplaced_files,
    wrong_certificates,
)
_CLIENT = "    environment: *postgres-client\n    volumes: *client-volumes\n"
BREAKS = (
    (unverified_databases, TLS_COMPOSE, "PGSSLMODE: verify-full", "PGSSLMODE: require"),
    (unverified_databases, TLS_COMPOSE, f"  mlflow-migrate:\n{_CLIENT}", ""),
    (unverified_databases, TLS_COMPOSE, f"  airflow-dag-processor:\n{_CLIENT}", ""),
    (unverified_databases, TLS_COMPOSE, "  retire:\n    environment: *ledger-client\n", "  retire:\n"),
    (
        unverified_databases,
        TLS_COMPOSE,
        "[*postgres-client, *ledger-client, *kafka-batch",
        "[*ledger-client, *kafka-batch",
    ),
    (unverified_databases, TLS_COMPOSE, "GRAFANA_POSTGRES_SSLMODE: verify-full", "GRAFANA_POSTGRES_SSLMODE: require"),
    (unverified_databases, COMPOSE, "@postgres:5432/mlflow\n", "@postgres:5432/mlflow?sslmode=disable\n"),
    (unverified_brokers, TLS_COMPOSE, "PROTOCOL: sasl_ssl", "PROTOCOL: sasl_plaintext"),
    (
        unverified_brokers,
        TLS_COMPOSE,
        "  MODERATION_KAFKA_CA_FILE:",
        '  MODERATION_KAFKA_VERIFY_HOSTNAME: "false"\n  MODERATION_KAFKA_CA_FILE:',
    ),
    (unverified_brokers, TLS_COMPOSE, "KAFKA_USERNAME: worker", "KAFKA_USERNAME: operator"),
    (unverified_brokers, TLS_COMPOSE, "KAFKA_PASSWORD: ${KAFKA_SOURCE_", "KAFKA_PASSWORD: ${KAFKA_WORKER_"),
    (unverified_brokers, TLS_COMPOSE, '"security.protocol": "sasl_ssl"', '"security.protocol": "sasl_plaintext"'),
    (open_listeners, TLS_COMPOSE, "EXTERNAL:SASL_SSL", "EXTERNAL:SASL_PLAINTEXT"),
    (open_listeners, TLS_COMPOSE, "INTERNAL:SASL_SSL", "INTERNAL:PLAINTEXT"),
    (
        open_listeners,
        TLS_COMPOSE,
        "LOCAL://127.0.0.1:9094,CONTROLLER://127.0.0.1:9093\n",
        "LOCAL://:9094,CONTROLLER://:9093\n",
    ),
    (open_listeners, TLS_COMPOSE, "      KAFKA_AUTHORIZER_CLASS_NAME:", "      KAFKA_AUTHORIZER:"),
    (open_listeners, TLS_COMPOSE, "User:ANONYMOUS;User:admin", "User:ANONYMOUS;User:admin;User:operator"),
    (open_listeners, TLS_COMPOSE, '        user_reader="${KAFKA_READER_PASSWORD:?see .env.example}";', "        ;"),
    (open_listeners, TLS_COMPOSE, "      MODERATION_KAFKA_BATCH_PRINCIPAL: User:batch\n", ""),
    (open_database, TLS_COMPOSE, "      - -cssl=on\n", ""),
    (open_database, TLS_COMPOSE, "-chba_file=/opt/tls/", "-chba_file=/etc/tls/"),
    (open_database, TLS_COMPOSE, "      - -clog_error_verbosity=terse\n", ""),
    (open_database, HBA, "hostssl  all       all   all ", "host     all       all   all "),
    (open_database, HBA, "scram-sha-256", "trust"),
    (misplaced_files, TLS_COMPOSE, f"  mlflow:\n{_CLIENT}", "  mlflow:\n    environment: *postgres-client\n"),
    (misplaced_files, TLS_COMPOSE, "tls-authority:/etc/tls/authority:ro", "tls-authority:/etc/tls/authority"),
    (misplaced_files, TLS_COMPOSE, "tls-authority:/etc/tls/authority:ro", "tls-signing:/etc/tls/authority:ro"),
    (misplaced_files, TLS_COMPOSE, '"tls-kafka:/etc/tls/server:ro"', '"tls-postgres:/etc/tls/server:ro"'),
    (wrong_certificates, TLS_COMPOSE, "999:postgres:postgres,", "999:postgres:database,"),
    (wrong_certificates, TLS_COMPOSE, "1000:kafka:kafka,localhost,127.0.0.1", "1000:kafka:kafka,localhost"),
    (wrong_certificates, TLS_COMPOSE, "- 999:postgres", "- 1000:postgres"),
    (wrong_certificates, TLS_COMPOSE, 'group_add: ["999", "1000"]', 'group_add: ["999"]'),
    (wrong_certificates, TLS_COMPOSE, "    depends_on: *after-certificates\n", ""),
    (wrong_certificates, TLS_COMPOSE, "- tls-kafka:/tls/kafka", "- tls-authority:/tls/kafka"),
    (wrong_certificates, TLS_COMPOSE, "network_mode: none", "networks: [published]"),
)
"""Alterations that a check must detect: the check, the file, the text and its replacement."""
