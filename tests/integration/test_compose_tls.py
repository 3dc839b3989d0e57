"""What docker-compose.tls.yaml sets, on a real Kafka and a real PostgreSQL with certificates of its job."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import psycopg2
import pytest
import sqlalchemy
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy.ext.asyncio import create_async_engine

from local.stack import kafka, postgres
from local.stack.environment import inherited_environment
from local.stack.jars import provide
from local.stack.layout import StackLayout
from local.stack.ports import HOST, any_free_port
from local.stack.wait import wait_until
from moderation.adapters.kafka.access import require_accepted
from moderation.adapters.kafka.acls import apply_permissions
from moderation.adapters.kafka.connection import KafkaConnection, kafka_of
from moderation.adapters.kafka.permissions import ROLES
from moderation.adapters.kafka.topics import COMMENTS, DECISIONS, ensure_topics, required_topics
from moderation.errors import ConfigurationError
from moderation.settings import PREFIX, Settings
from tests.conftest import ROOT
from tests.deploy.files import HBA, Files
from tests.support.clusters import programs_with_tls, running_cluster
from tests.support.tls import Authority

SERVICES = Files(with_tls=True).services
CA = "/etc/tls/authority/ca.pem"
"""Where containers have the authority's certificate."""


def make_certificates(folder: Path, group: int) -> None:
    """Make certificates whose authority is the second one, so that clients also have the one before."""
    for name in ("signing", "authority", "kafka", "postgres"):
        (folder / name).mkdir(parents=True)
    _run_job(folder, group)
    renew_authority(folder, group)


def renew_authority(folder: Path, group: int) -> tuple[Path, Path]:
    """Make a new authority and certificates of it; return files with the former authority and with the new one only."""
    former, new = folder / "former.pem", folder / "new.pem"
    first, *_ = x509.load_pem_x509_certificates((folder / "authority" / "ca.pem").read_bytes())
    (folder / "signing" / "authority.pem").unlink()
    _run_job(folder, group)
    bundle = x509.load_pem_x509_certificates((folder / "authority" / "ca.pem").read_bytes())
    assert bundle[1] == first
    for path, certificate in ((new, bundle[0]), (former, first)):
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return former, new


def _run_job(folder: Path, group: int) -> None:
    """Run the job with the arguments of the compose file, for a group of this machine."""
    command = SERVICES["certificates"]["command"]
    servers = [re.sub(r"^\d+:", f"{group}:", each) for each in command[command.index("/tls") + 1 :]]
    program = ROOT / "docker" / "tls" / "certificates.py"
    subprocess.run([sys.executable, "-P", program, folder, *servers], check=True, capture_output=True, timeout=60)


class Broker:
    """The broker of the compose file, on ports of this machine.

    Attributes:
        folder: of its certificates.
        other_ca: file of an authority that did not sign them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.other_ca = Authority(folder / "other", "another authority").file
        names = dict(re.findall(r"(\w+)://[^:,]*:(\d+)", SERVICES["kafka"]["environment"]["KAFKA_LISTENERS"]))
        self._ports = {name: (port, any_free_port()) for name, port in names.items()}

    def port(self, listener: str) -> int:
        """Return the port of a listener on this machine."""
        return self._ports[listener][1]

    def properties(self) -> dict[str, str]:
        """Return the broker's settings as the image derives them from the variables, with the ports of this machine."""
        settings = {
            key.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
            for key, value in SERVICES["kafka"]["environment"].items()
            if key.startswith("KAFKA_") and not key.startswith(("KAFKA_LOG_", "KAFKA_HEAP"))
        }
        settings["ssl.keystore.location"] = str(self.folder / "kafka" / "server.pem")
        for name in ("listeners", "advertised.listeners"):
            addresses = [f"{each}://{HOST}:{self.port(each)}" for each in self._ports]
            settings[name] = ",".join(addresses[: None if name == "listeners" else -1])
        settings["controller.quorum.voters"] = f"1@{HOST}:{self.port('CONTROLLER')}"
        return settings

    def settings(self, service: str, listener: str = "INTERNAL", **further: Any) -> Settings:
        """Return the settings of a service of the compose file, with an address of this machine."""
        prefix = f"{PREFIX}KAFKA_"
        environment = SERVICES[service]["environment"]
        given = {
            key.removeprefix(PREFIX).lower(): value for key, value in environment.items() if key.startswith(prefix)
        }
        assert given["kafka_ca_file"] == CA
        own = {
            "kafka_ca_file": str(self.folder / "authority" / "ca.pem"),
            "kafka_bootstrap": f"{HOST}:{self.port(listener)}",
        }
        return Settings(**given | own | further)


@contextmanager
def running(broker: Broker, folder: Path) -> Iterator[None]:
    layout = StackLayout(folder)
    layout.make_folders()
    jars = provide(layout.jars)
    ports = {"port": broker.port("LOCAL"), "controller_port": broker.port("CONTROLLER")}
    kafka.prepare(layout, jars, **ports, further=broker.properties())
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen(
            kafka.command(layout, jars), cwd=layout.kafka, env=inherited_environment(), stdout=log, stderr=log
        )
    try:
        answers = kafka.answers(KafkaConnection.plaintext(f"{HOST}:{broker.port('LOCAL')}"))

        def is_ready() -> bool:
            assert process.poll() is None, "the broker ended; see broker.log"
            return answers()

        wait_until(is_ready, seconds=60, description="the broker of the compose file")
        yield
    finally:
        process.kill()
        process.wait(30)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("compose")
    make_certificates(folder / "tls", os.getgid())
    broker = Broker(folder / "tls")
    with running(broker, folder / "broker"):
        yield broker


def sent(settings: Settings, topic: str) -> str:
    """Write a record; return the code of the broker's refusal, or nothing."""
    refusals: list[str] = []
    producer = Producer(kafka_of(settings).librdkafka({"message.timeout.ms": 10_000, "log_level": 2}))
    producer.produce(
        topic, b"{}", key="c", on_delivery=lambda error, _: refusals.extend([error.name()] if error else [])
    )
    assert producer.flush(15) == 0
    return ",".join(refusals)


@pytest.mark.budget(60)
def test_kafka_accepts_accounts_over_tls_and_nothing_else(broker: Broker) -> None:
    *command, script = SERVICES["kafka"]["healthcheck"]["test"][1:]
    check = script.replace("$$", "$").replace("/9094 ", f"/{broker.port('LOCAL')} ")
    subprocess.run([*command, check], check=True, capture_output=True, timeout=10)
    topics = broker.settings("topics")
    assert set(ensure_topics(kafka_of(topics), required_topics(topics), replication=1))
    assert {each.principal for each in apply_permissions(topics)} == {f"User:{role}" for role in ROLES}
    assert apply_permissions(broker.settings("moderation", **_principals(topics))) == (), "the operator only checks"
    denied = "TOPIC_AUTHORIZATION_FAILED"
    assert sent(broker.settings("source"), COMMENTS.name) == ""
    assert sent(broker.settings("source", "EXTERNAL"), COMMENTS.name) == ""
    assert sent(broker.settings("source"), DECISIONS.name) == denied
    assert sent(broker.settings("worker"), DECISIONS.name) == ""
    assert sent(broker.settings("worker"), COMMENTS.name) == denied
    assert sent(broker.settings("airflow-scheduler"), COMMENTS.name) == denied
    begun = time.monotonic()
    for listener in ("INTERNAL", "EXTERNAL"):
        for further, setting in (
            ({"kafka_password": "guessed-wrong"}, "PASSWORD"),
            ({"kafka_ca_file": str(broker.other_ca)}, "CA_FILE"),
            ({"kafka_security_protocol": "sasl_plaintext", "kafka_ca_file": None}, "SECURITY_PROTOCOL"),
        ):
            with pytest.raises(ConfigurationError, match=f"MODERATION_KAFKA_{setting}"):
                require_accepted(kafka_of(broker.settings("worker", listener, **further)))
        with pytest.raises(ConfigurationError, match="MODERATION_KAFKA_SECURITY_PROTOCOL"):
            require_accepted(KafkaConnection.plaintext(f"{HOST}:{broker.port(listener)}"))
    assert time.monotonic() - begun < 40, "eight refusals, each within seconds"


def test_clients_of_a_new_authority_connect_to_a_broker_that_runs_with_the_former_one(broker: Broker) -> None:
    former, new = renew_authority(broker.folder, os.getgid())
    worker = broker.settings("worker")
    require_accepted(kafka_of(worker))
    require_accepted(kafka_of(broker.settings("worker", kafka_ca_file=str(former))))
    with pytest.raises(ConfigurationError, match="MODERATION_KAFKA_CA_FILE"):
        require_accepted(kafka_of(broker.settings("worker", kafka_ca_file=str(new))))
    client = AdminClient(kafka_of(worker).librdkafka({"log_level": 2}))
    assert client.list_topics(timeout=10).brokers


def _principals(settings: Settings) -> dict[str, str]:
    return {name: getattr(settings, name) for name in (f"kafka_{role}_principal" for role in ROLES)}


@dataclass(frozen=True)
class Database:
    """The server of the compose file.

    Attributes:
        url: of a login.
        folder: of its certificates.
        group: of the server's account.
    """

    url: str
    folder: Path
    group: int


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with running_cluster(programs_with_tls()) as cluster:
        folder = cluster.folder / "tls"
        account = postgres.account(StackLayout(cluster.folder))
        group = os.getgid() if account is None else account.group_id
        make_certificates(folder, group)
        if account is None:  # as root, PostgreSQL's account may read it by its group
            cluster.give(folder / "postgres" / "server.pem")
        hba = cluster.folder / "pg_hba.conf"
        hba.write_text((ROOT / HBA).read_text())
        hba.chmod(0o644)
        with psycopg.connect(cluster.administrator, autocommit=True) as administrator:
            administrator.execute("CREATE ROLE worker LOGIN PASSWORD 'secret-worker'")
            for option in (each for each in SERVICES["postgres"]["command"] if each.startswith("-cssl")):
                name, _, value = option.removeprefix("-c").partition("=")
                path = value.replace("/etc/tls/server", str(folder / "postgres"))
                administrator.execute(f"ALTER SYSTEM SET {name} = '{path}'".encode())
            (file,) = administrator.execute("SHOW hba_file").fetchone() or ("",)
            Path(file).write_text(hba.read_text())
            administrator.execute("SELECT pg_reload_conf()")
        yield Database(cluster.url("worker", "postgres"), folder, group)


_IS_ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


async def ask_like_airflow(url: str, parameters: str = "") -> Any:
    """Connect like Airflow's asynchronous client; return whether the connection is encrypted."""
    engine = create_async_engine(f"{url}{parameters}".replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.connect() as connection:
            return (await connection.execute(sqlalchemy.text(_IS_ENCRYPTED))).scalar_one()
    finally:
        await engine.dispose()


def require_accepted_by_all(url: str) -> None:
    assert asyncio.run(ask_like_airflow(url)) is True
    with psycopg.connect(url) as connection:  # MLflow
        assert connection.execute(_IS_ENCRYPTED).fetchone() == (True,)
    airflow = psycopg2.connect(url)
    with airflow, airflow.cursor() as cursor:
        cursor.execute(_IS_ENCRYPTED)
        assert cursor.fetchone() == (True,)
    airflow.close()


def require_refused_by_all(url: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(url)
    with pytest.raises(psycopg2.OperationalError, match="certificate verify failed"):
        psycopg2.connect(url)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        asyncio.run(ask_like_airflow(url))


def test_postgres_accepts_verified_clients_and_refuses_unencrypted_ones(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(f"{database.url}?sslmode=disable")
    environment = SERVICES["airflow-scheduler"]["environment"]
    assert environment["PGSSLROOTCERT"] == CA
    monkeypatch.setenv("PGSSLMODE", environment["PGSSLMODE"])
    monkeypatch.setenv("PGSSLROOTCERT", str(database.folder / "authority" / "ca.pem"))
    require_accepted_by_all(database.url)
    with pytest.raises(TypeError, match="sslmode"):  # so the compose file sets variables, and no parameters of URLs
        asyncio.run(ask_like_airflow(database.url, "?sslmode=verify-full"))
    monkeypatch.setenv("PGSSLROOTCERT", str(Authority(tmp_path / "other", "another authority").file))
    require_refused_by_all(database.url)


def test_clients_of_a_new_authority_connect_to_a_postgres_that_runs_with_the_former_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    ca = database.folder / "authority" / "ca.pem"
    monkeypatch.setenv("PGSSLROOTCERT", str(ca))
    require_accepted_by_all(database.url)
    former, new = renew_authority(database.folder, database.group)
    for file in (ca, former):
        monkeypatch.setenv("PGSSLROOTCERT", str(file))
        require_accepted_by_all(database.url)
    monkeypatch.setenv("PGSSLROOTCERT", str(new))
    require_refused_by_all(database.url)
