"""Worker and batch layer behind a real PgBouncer in transaction mode."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from local.stack.commands import StackInfo
from local.stack.wait import wait_until
from moderation.adapters.lake.manifest import partition_lock
from moderation.adapters.reconciliation.runs import day_lock
from moderation.adapters.reconciliation.snapshot import export_rows
from moderation.adapters.sql.connection import connected
from moderation.adapters.sql.ledger import Ledger
from moderation.adapters.sql.migrate import migrate_database
from moderation.adapters.sql.session import is_pooled
from moderation.contracts import Fate, Verdict
from moderation.errors import ConfigurationError
from moderation.ledger import Batch, DecisionRow, Versions, pane_sums
from moderation.offsets import TopicPartition
from stream.exit_codes import REFUSED, worker_exit_code
from tests.support.lakes import LakeUnderTest
from tests.support.pgbouncer import Pooler, running_pooler
from tests.support.workers import comments

VERSIONS = Versions("1", "policy", "1")
APPEND_US = 1_700_000_000_000_000
LOGINS = ("worker", "batch")
UNLIMITED = "unlimited"
"""Login of a worker without the limits of its role."""


@pytest.fixture(scope="module")
def pooler(stack: StackInfo) -> Iterator[Pooler]:
    migrate_database(stack.database_url())
    logins = {name: str(psycopg.conninfo.conninfo_to_dict(stack.database_url(name))["password"]) for name in LOGINS}
    with running_pooler(stack, {**logins, UNLIMITED: "unlimited-secret"}) as pooler:
        with psycopg.connect(stack.database_url(), autocommit=True) as owner:
            owner.execute(f"CREATE ROLE {UNLIMITED} LOGIN PASSWORD 'unlimited-secret' IN ROLE moderation_worker")
        yield pooler
    with psycopg.connect(stack.database_url(), autocommit=True) as owner:
        owner.execute(f"DROP ROLE {UNLIMITED}")


def store_batches(url: str, count: int) -> tuple[uuid.UUID, int]:
    """Store batches of one decision; return the topic id and the next offset."""
    topic_id = uuid.uuid4()
    ledger = Ledger(url, f"topic-{topic_id}", topic_id)
    try:
        ledger.positions({0: 0})
        for offset in range(count):
            row = DecisionRow(0, offset, APPEND_US, "c", "x", 5, b"\0" * 32, 5, Verdict.ALLOW, Fate.COUNTED, None)
            ledger.store(Batch({0: (offset, offset + 1)}, VERSIONS, [row], [], panes=pane_sums([row], VERSIONS)))
            ledger.mark_published({0: offset}, {})
        assert len(list(ledger.decisions_between(0, 0, count))) == count
        return topic_id, ledger.positions({0: 0})[0].next
    finally:
        ledger.close()


@pytest.mark.budget(30)
def test_workers_store_batches_over_server_connections_that_change(pooler: Pooler) -> None:
    """Eight workers share five server connections."""
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: store_batches(pooler.url("worker"), 25), range(8)))
    assert [offset for _, offset in results] == [25] * 8


def test_a_pooler_is_noticed_and_no_setting_of_a_session_stays_in_its_connections(
    stack: StackInfo, pooler: Pooler
) -> None:
    with connected(stack.database_url("batch")) as direct, connected(pooler.url("batch")) as pooled:
        assert (is_pooled(direct), is_pooled(pooled)) == (False, True)
        assert pooled.prepare_threshold is None
    store_batches(pooler.url("worker"), 1)
    with psycopg.connect(pooler.url("worker"), prepare_threshold=None) as other:
        changed = other.execute("SELECT name FROM pg_settings WHERE source = 'session' AND name LIKE '%timeout'")
        assert changed.fetchall() == []


def test_a_login_without_limits_is_refused_for_good_with_the_statements(stack: StackInfo, pooler: Pooler) -> None:
    Ledger(stack.database_url("worker"), "x", uuid.uuid4()).close()
    with pytest.raises(ConfigurationError, match="ALTER ROLE unlimited SET statement_timeout = '1min'") as refused:
        Ledger(pooler.url(UNLIMITED), "x", uuid.uuid4())
    assert worker_exit_code(refused.value) == REFUSED
    assert "unlimited-secret" not in str(refused.value)


def test_locks_of_jobs_are_held_while_other_clients_use_the_pooler(pooler: Pooler) -> None:
    partition = TopicPartition("x", uuid.uuid4(), 0)
    url, day = pooler.url("batch"), date(2024, 2, 29)
    with connected(url, name="moderation archive") as one, connected(url) as other:
        with partition_lock(one, partition) as holder:
            assert holder is None
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda _: _ask(url), range(40)))
            with partition_lock(other, partition) as found:
                assert found is not None
                assert found.startswith("moderation archive (backend ")
        with partition_lock(other, partition) as holder:
            assert holder is None
        waited: list[str] = []
        with ThreadPoolExecutor(1) as pool:
            with day_lock(one, "x", day, waited.append):
                waits = pool.submit(_lock_day, url, day, waited)
                wait_until(lambda: waited != [], seconds=20, description="another reconciliation waits")
            waits.result(20)
        assert "moderation archive (backend " in waited[0]


def _ask(url: str) -> None:
    with connected(url) as connection:
        connection.execute("SELECT 1")


def _lock_day(url: str, day: date, waited: list[str]) -> None:
    with connected(url) as connection, day_lock(connection, "x", day, waited.append):
        pass


def test_rows_are_exported_from_the_snapshot_of_another_connection(pooler: Pooler, tmp_path: Path) -> None:
    with connected(pooler.url("batch")) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        export_rows(connection, pooler.url("batch"), "SELECT n FROM generate_series(1, 5) n", tmp_path)
    assert pq.read_table(tmp_path / "0.parquet").column("n").to_pylist() == [1, 2, 3, 4, 5]


@pytest.mark.budget(30)
def test_the_archive_works(pooler: Pooler, lake: LakeUnderTest) -> None:
    records = comments(60)
    lake.produce([(key, value, []) for key, value in records])
    lake.settings = lake.settings.model_copy(update={"database_url": SecretStr(pooler.url("batch"))})
    assert lake.archive().total("rows") == 60
    assert len(lake.content()) == 60
