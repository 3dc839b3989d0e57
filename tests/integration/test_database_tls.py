"""TLS to a real PostgreSQL with certificates of an authority of the test."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import psycopg2
import pyarrow.parquet as pq
import pytest
import sqlalchemy

from local.stack.ports import HOST
from moderation.adapters.reconciliation.snapshot import export_rows
from moderation.adapters.sql.connection import connected
from moderation.adapters.sql.ledger import Ledger
from moderation.adapters.sql.migrate import migrate_database
from moderation.errors import ConfigurationError, LedgerUnsafe, NeedsPerson
from moderation.settings import load_settings, required
from stream.exit_codes import REFUSED, worker_exit_code
from tests.support.clusters import Cluster, programs_with_tls, running_cluster
from tests.support.tls import Authority

PASSWORD = "secret-moderation"
IN_USE = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


class Server:
    """PostgreSQL with TLS, and the certificates it can have.

    Attributes:
        ca: file of the authority that signed them.
        other_ca: file of another authority.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster, self._authority = cluster, Authority(cluster.folder / "tls", "authority of the test")
        self.ca = self._authority.file
        self.other_ca = Authority(folder / "other", "another authority").file
        with psycopg.connect(cluster.administrator, autocommit=True) as administrator:
            administrator.execute(f"CREATE ROLE moderation LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
            administrator.execute("CREATE DATABASE moderation OWNER moderation")
        self.present(HOST)

    def present(self, host: str | None, *, expired: bool = False) -> None:
        """Let the server present a certificate for a host from now on; None to switch TLS off."""
        settings = {"ssl": "off"}
        if host is not None:
            made = self._authority.server(f"{'expired-' if expired else ''}{host}", (host,), expired=expired)
            certificate, key = self._cluster.give(made.certificate), self._cluster.give(made.key)
            settings = {"ssl_cert_file": str(certificate), "ssl_key_file": str(key), "ssl": "on"}
        with psycopg.connect(self._cluster.administrator, autocommit=True) as administrator:
            for name, value in settings.items():
                administrator.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
            administrator.execute("SELECT pg_reload_conf()")

    @contextmanager
    def presenting(self, host: str | None, *, expired: bool = False) -> Iterator[None]:
        """Present another certificate, or none, while the block runs."""
        self.present(host, expired=expired)
        try:
            yield
        finally:
            self.present(HOST)

    def url(self, monkeypatch: pytest.MonkeyPatch, ca: Path, *, host: str = HOST, password: str = PASSWORD) -> str:
        """Return the URL that programs get from the settings."""
        port = self._cluster.port
        monkeypatch.setenv("MODERATION_DATABASE_URL", f"postgresql://moderation:{password}@{host}:{port}/moderation")
        monkeypatch.setenv("MODERATION_DATABASE_CA_FILE", str(ca))
        return required(load_settings().database_url, "database_url")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_cluster(programs_with_tls()) as cluster:
        yield Server(cluster, tmp_path_factory.mktemp("certificates"))


def refusal(url: str) -> NeedsPerson:
    """Connect like a worker and like a command; return the error, which must come within seconds."""
    begun = time.monotonic()
    with pytest.raises(ConfigurationError) as of_command, connected(url):
        pass
    with pytest.raises(ConfigurationError) as of_worker:
        Ledger(url, "x", uuid.uuid4())
    with pytest.raises(ConfigurationError):
        migrate_database(url)
    assert time.monotonic() - begun < 10
    assert str(of_command.value) == str(of_worker.value)
    assert worker_exit_code(of_worker.value) == REFUSED
    assert PASSWORD not in str(of_worker.value)
    return of_worker.value


def test_every_client_verifies_the_certificate(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = server.url(monkeypatch, server.ca)
    with connected(url) as connection:
        assert connection.execute(IN_USE).fetchone() == (True,)
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            export_rows(connection, url, IN_USE, tmp_path)
    assert pq.read_table(tmp_path / "0.parquet").column("ssl").to_pylist() == [True]
    with pytest.raises(LedgerUnsafe, match="moderation migrate"):
        Ledger(url, "x", uuid.uuid4())
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))  # as MLflow
    with engine.connect() as connected_engine:
        assert connected_engine.execute(sqlalchemy.text(IN_USE)).scalar_one() is True
    engine.dispose()
    airflow = psycopg2.connect(url)  # as Airflow
    with airflow, airflow.cursor() as cursor:
        cursor.execute(IN_USE)
        assert cursor.fetchone() == (True,)
    airflow.close()


def test_a_wrong_authority_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.url(monkeypatch, server.other_ca)
    assert "MODERATION_DATABASE_CA_FILE" in str(refusal(url))
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with pytest.raises(sqlalchemy.exc.OperationalError, match="certificate verify failed"):
        engine.connect()
    with pytest.raises(psycopg2.OperationalError, match="certificate verify failed"):
        psycopg2.connect(url)


def test_a_file_that_does_not_exist_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    error = str(refusal(server.url(monkeypatch, Path("/nowhere/ca.pem"))))
    assert "/nowhere/ca.pem" in error
    assert "MODERATION_DATABASE_CA_FILE" in error


def test_another_host_name_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    error = str(refusal(server.url(monkeypatch, server.ca, host="localhost")))
    assert "does not match host name" in error
    assert "MODERATION_DATABASE_URL" in error


def test_an_expired_certificate_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with server.presenting(HOST, expired=True):
        error = str(refusal(server.url(monkeypatch, server.ca)))
    assert "MODERATION_DATABASE_CA_FILE" in error
    assert "expired certificate must be renewed" in error


def test_a_server_without_tls_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with server.presenting(None):
        error = str(refusal(server.url(monkeypatch, server.ca)))
    assert "does not support SSL" in error
    assert "MODERATION_DATABASE_CA_FILE" in error


def test_a_wrong_password_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    error = str(refusal(server.url(monkeypatch, server.ca, password="guessed-wrong")))
    assert "password authentication failed" in error
    assert "MODERATION_DATABASE_URL" in error
    assert "guessed-wrong" not in error
