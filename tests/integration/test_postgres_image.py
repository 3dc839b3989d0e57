"""Initialization script of the postgres image on a real PostgreSQL: roles, databases, rights."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from local.stack import postgres
from local.stack.environment import inherited_environment
from local.stack.layout import StackLayout
from local.stack.ports import HOST, any_free_port
from moderation.adapters.sql.migrate import migrate_database
from moderation.errors import ConfigurationError, DatabaseUnavailable
from tests.conftest import ROOT

SCRIPT = ROOT / "docker" / "postgres" / "databases.sh"
ROLES = ("moderation", "airflow", "mlflow", "grafana")


class Cluster:
    """Empty cluster, with the addresses of its roles after the script."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def run_script(self) -> subprocess.CompletedProcess[str]:
        """Run the script like the image: as the administrator, over the socket."""
        environment = inherited_environment() | {
            "PATH": f"{postgres.binaries()}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "PGHOST": str(self.folder),
            "PGPORT": str(self.port),
            "POSTGRES_USER": "postgres",
            **{f"POSTGRES_{role.upper()}_PASSWORD": f"secret-{role}" for role in ROLES},
        }
        return subprocess.run(
            [SCRIPT], env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False
        )

    def url(self, role: str, database: str, password: str | None = None) -> str:
        return f"postgresql://{role}:{password or f'secret-{role}'}@{HOST}:{self.port}/{database}"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    # Not in pytest's folder, which other accounts cannot enter: PostgreSQL does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="moderation-cluster-"))
    folder.chmod(0o755)
    account = postgres.account(StackLayout(folder))
    user = pwd.getpwuid(os.geteuid()).pw_name if account is None else account.name
    data, port, programs = folder / "data", any_free_port(), postgres.binaries()
    if account is not None:
        os.chown(folder, account.user_id, account.group_id)

    def run(*command: str | Path) -> None:
        subprocess.run(command, user=user if account else None, cwd="/", check=True, capture_output=True, timeout=60)

    options = f"-c listen_addresses={HOST} -c port={port} -c unix_socket_directories={folder}"
    authentication = ("--auth-local=trust", "--auth-host=scram-sha-256", "--data-checksums")
    try:
        run(programs / "initdb", "--username=postgres", *authentication, data)
        run(programs / "pg_ctl", "start", "--wait", f"--pgdata={data}", f"--options={options}", f"--log={folder}/log")
        yield Cluster(folder, port)
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            run(programs / "pg_ctl", "stop", "--wait", "--mode=immediate", f"--pgdata={data}")
        shutil.rmtree(folder)


def test_every_part_has_a_role_and_a_database_that_no_other_part_may_enter(cluster: Cluster) -> None:
    done = cluster.run_script()
    assert done.returncode == 0, done.stderr
    owned = {"moderation": "moderation", "airflow": "airflow", "mlflow": "mlflow", "mlflow_accounts": "mlflow"}
    for database, owner in owned.items():
        for role in ROLES:
            if role == owner:
                with psycopg.connect(cluster.url(role, database)) as connection:
                    connection.execute("CREATE SCHEMA allowed")
            else:
                with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                    psycopg.connect(cluster.url(role, database))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(cluster.url("moderation", "moderation", password="guessed"))
    again = cluster.run_script()
    assert again.returncode != 0, "a second run would have nothing to make, and must not pass over that in silence"
    assert "already exists" in again.stderr


def test_the_job_migrates_as_a_role_without_privileges_and_grafana_reads_the_serving_views_only(
    cluster: Cluster,
) -> None:
    assert cluster.run_script().returncode == 0
    with psycopg.connect(cluster.url("moderation", "moderation")) as connection:
        rights = "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        assert connection.execute(rights).fetchone() == (False, False, False)
    revision = migrate_database(cluster.url("moderation", "moderation"))
    assert migrate_database(cluster.url("moderation", "moderation")) == revision
    with psycopg.connect(cluster.url("grafana", "moderation"), autocommit=True) as grafana:
        assert grafana.execute("SELECT count(*) FROM serving.tumbling_windows").fetchone() == (0,)
        for statement in ("SELECT 1 FROM speed.decisions", "CREATE SCHEMA own", "CREATE TABLE public.own (id int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                grafana.execute(statement)


def test_an_owner_that_may_not_make_the_reader_is_told_to_have_it_made(cluster: Cluster) -> None:
    assert cluster.run_script().returncode == 0
    with psycopg.connect(f"postgresql://postgres@/postgres?host={cluster.folder}&port={cluster.port}") as administrator:
        administrator.execute("DROP ROLE moderation_reader")
    with pytest.raises(ConfigurationError, match="permission denied.*CREATE ROLE moderation_reader NOLOGIN"):
        migrate_database(cluster.url("moderation", "moderation"))


def test_an_unavailable_database_or_a_role_without_rights_is_named(cluster: Cluster) -> None:
    assert cluster.run_script().returncode == 0
    with pytest.raises(ConfigurationError, match="PostgreSQL: .*permission denied"):
        migrate_database(cluster.url("mlflow", "postgres"))
    with pytest.raises(DatabaseUnavailable, match="MODERATION_DATABASE_URL"):
        migrate_database(f"postgresql://moderation@{HOST}:1/moderation")
