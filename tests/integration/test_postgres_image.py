"""Initialization script of the postgres image on a real PostgreSQL: roles, databases, rights."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from datetime import date

import psycopg
import pytest

from local.stack import postgres
from local.stack.environment import inherited_environment
from local.stack.ports import HOST
from local.stack.wait import wait_until
from moderation.adapters.sql.ledger import Ledger
from moderation.adapters.sql.migrate import migrate_database
from moderation.adapters.sql.partitions import keep_partitions
from moderation.adapters.sql.retirement import AppendDay, retire
from moderation.errors import ConfigurationError, DatabaseUnavailable, LedgerUnsafe
from tests.conftest import ROOT
from tests.support.clusters import Cluster, running_cluster

SCRIPT = ROOT / "docker" / "postgres" / "databases.sh"
ROLES = ("moderation", "airflow", "mlflow", "worker", "batch", "retention", "grafana")


def run_script(cluster: Cluster) -> subprocess.CompletedProcess[str]:
    """Run the script like the image: as the administrator, over the socket."""
    environment = inherited_environment() | {
        "PATH": f"{postgres.binaries()}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "PGHOST": str(cluster.folder),
        "PGPORT": str(cluster.port),
        "POSTGRES_USER": "postgres",
        **{f"POSTGRES_{role.upper()}_PASSWORD": f"secret-{role}" for role in ROLES},
    }
    return subprocess.run([SCRIPT], env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


def test_every_part_has_a_role_and_a_database_that_no_other_part_may_enter(cluster: Cluster) -> None:
    done = run_script(cluster)
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
    again = run_script(cluster)
    assert again.returncode != 0, "a second run would have nothing to make, and must not pass over that in silence"
    assert "already exists" in again.stderr


def test_the_job_migrates_as_a_role_without_privileges_and_grafana_reads_the_serving_views_only(
    cluster: Cluster,
) -> None:
    assert run_script(cluster).returncode == 0
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


def test_an_owner_that_may_not_make_the_groups_is_told_to_have_them_made(cluster: Cluster) -> None:
    assert run_script(cluster).returncode == 0
    url = cluster.url("moderation", "moderation")
    with psycopg.connect(cluster.administrator) as administrator:
        administrator.execute("DROP ROLE moderation_reader, moderation_worker")
    wanted = "CREATE ROLE moderation_worker NOLOGIN; CREATE ROLE moderation_reader NOLOGIN"
    with pytest.raises(ConfigurationError, match=wanted):
        migrate_database(url)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'speed'").fetchone() == (0,)
    with psycopg.connect(cluster.administrator) as administrator:
        for statement in wanted.split("; "):
            administrator.execute(statement.encode())
    migrate_database(url)


def test_the_logins_of_batch_and_retention_need_no_owner_and_the_owner_is_kept_from_mistakes(cluster: Cluster) -> None:
    """The owner is no superuser here, so the functions have only its rights."""
    assert run_script(cluster).returncode == 0
    migrate_database(cluster.url("moderation", "moderation"))
    old, far = date(2024, 2, 29), date(2035, 5, 1)
    with psycopg.connect(cluster.url("worker", "moderation"), autocommit=True) as worker:
        for day in (old, far):
            worker.execute(
                'INSERT INTO speed.decisions (append_day, topic_id, partition, "offset", append_us, comment_id, '
                "community, event_time_us, record_id, score_ppm, verdict, model_version, policy_version, "
                "kernel_version, fate) VALUES (%s, %s, 0, 7, 0, 'c', 'x', 0, '', 1, 'allow', '1', 'p', '1', 'counted')",
                (day, uuid.UUID(int=1)),
            )
    report = keep_partitions(cluster.url("batch", "moderation"), 1, today=far)
    assert report.moved == {far: 1}
    with psycopg.connect(cluster.url("moderation", "moderation"), autocommit=True) as owner:
        for statement in ("DELETE FROM speed.decisions", "UPDATE speed.decisions_default SET fate = 'late'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="are only added; role moderation may not"):
                owner.execute(statement.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="truncate"):
            owner.execute("TRUNCATE speed.decisions")
        with psycopg.connect(cluster.url("retention", "moderation"), autocommit=True) as retention:
            retention.execute("UPDATE speed.decisions SET comment_id = '' WHERE append_day = %s", (far,))
            retire(retention, AppendDay(old, 1, (), ()), "old")
        assert owner.execute("SELECT append_day, comment_id FROM speed.decisions").fetchall() == [(far, "")]
        changes = owner.execute(
            'SELECT login, role, operation, "table", "offset", append_day, rows FROM speed.ledger_changes ORDER BY 1, 3'
        ).fetchall()
    assert changes == [
        ("retention", "retention", "retire", "speed.decisions", None, old, 1),
        ("retention", "retention", "update", "speed.decisions_20350501", 7, None, 1),
    ]


def test_a_provider_that_guarantees_durability_may_switch_fsync_off_but_never_synchronous_commit(
    cluster: Cluster,
) -> None:
    assert run_script(cluster).returncode == 0
    migrate_database(cluster.url("moderation", "moderation"))
    url = cluster.url("worker", "moderation")
    with psycopg.connect(cluster.administrator, autocommit=True) as administrator:
        for name in ("fsync", "full_page_writes"):
            administrator.execute(f"ALTER SYSTEM SET {name} = off".encode())
        administrator.execute("SELECT pg_reload_conf()")
        wait_until(
            lambda: administrator.execute("SHOW full_page_writes").fetchone() == ("off",), seconds=10, description="off"
        )
    with pytest.raises(LedgerUnsafe, match=r"fsync: it is 'off'.*MODERATION_DATABASE_DURABILITY=provider"):
        Ledger(url, "x", uuid.uuid4())
    Ledger(url, "x", uuid.uuid4(), durability="provider").close()
    with pytest.raises(LedgerUnsafe, match="synchronous_commit"):
        Ledger(f"{url}?options=-c%20synchronous_commit%3Doff", "x", uuid.uuid4(), durability="provider")


def test_an_unavailable_database_or_a_role_without_rights_is_named(cluster: Cluster) -> None:
    assert run_script(cluster).returncode == 0
    with pytest.raises(ConfigurationError, match="PostgreSQL: .*permission denied"):
        migrate_database(cluster.url("mlflow", "postgres"))
    with pytest.raises(DatabaseUnavailable, match="MODERATION_DATABASE_URL"):
        migrate_database(f"postgresql://moderation@{HOST}:1/moderation")
