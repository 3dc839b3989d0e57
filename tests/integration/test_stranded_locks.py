"""Sessions that hold locks and do nothing are found and named on a real PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from local.stack.attention import attention
from local.stack.commands import StackInfo
from local.stack.wait import wait_until
from moderation.adapters.sql.connection import connected
from moderation.adapters.sql.locks import StrandedLock, stranded_locks
from moderation.adapters.sql.migrate import migrate_database
from moderation.errors import TableLocked
from tests.support.lakes import LakeUnderTest, held_partitions
from tests.support.workers import as_login


@pytest.fixture(scope="module")
def url(stack: StackInfo) -> str:
    """The URL of the batch layer, which sees the sessions of other roles."""
    migrate_database(stack.database_url())
    return stack.database_url("batch")


@contextmanager
def session(stack: StackInfo, name: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A session of the owner with an open transaction that holds locks."""
    with psycopg.connect(stack.database_url(), application_name=name) as connection:
        connection.execute("LOCK TABLE speed.gaps IN ACCESS EXCLUSIVE MODE")
        yield connection
        connection.rollback()


def named(locks: list[StrandedLock], name: str) -> list[StrandedLock]:
    return [lock for lock in locks if lock.name == name]


def test_a_transaction_that_blocks_others_is_named_with_what_to_do(stack: StackInfo, url: str) -> None:
    name = f"stranded {uuid.uuid4().hex[:8]}"
    with session(stack, name) as held, connected(url) as observer, ThreadPoolExecutor(1) as pool:
        assert named(stranded_locks(observer), name) == [], "it has only just become idle"
        assert len(named(stranded_locks(observer, in_transaction_seconds=0), name)) == 1
        waits = pool.submit(_count_gaps, url)
        wait_until(
            lambda: named(stranded_locks(observer, blocking_seconds=0), name) != [], seconds=20, description="it blocks"
        )
        [found] = named(stranded_locks(observer, blocking_seconds=0), name)
        assert (found.pid, found.state, found.waiting) == (held.info.backend_pid, "idle in transaction", 1)
        assert f"{name} (backend {found.pid}, from 127.0.0.1)" in found.message
        assert "1 sessions wait for it" in found.message
        assert f"SELECT pg_terminate_backend({found.pid})" in found.message
        held.rollback()
        waits.result(20)
        assert named(stranded_locks(observer, in_transaction_seconds=0), name) == []


def _count_gaps(url: str) -> None:
    with connected(url) as connection:
        connection.execute("SELECT count(*) FROM speed.gaps")


def test_a_command_that_waited_in_vain_names_the_session(stack: StackInfo, url: str) -> None:
    name = f"stranded {uuid.uuid4().hex[:8]}"
    with session(stack, name) as held:
        pid = held.info.backend_pid
        error = _error_of_waiting(url)
    assert f"{name} (backend {pid}, since " in error


def _error_of_waiting(url: str) -> str:
    with pytest.raises(TableLocked) as raised, connected(url) as connection:
        connection.execute("SET lock_timeout = '100ms'; SELECT count(*) FROM speed.gaps")
    return str(raised.value)


def test_an_advisory_lock_of_an_idle_session_is_named(lake: LakeUnderTest, url: str) -> None:
    with held_partitions(lake.database_url, lake.topic, lake.topic_id), connected(url) as observer:
        assert named(stranded_locks(observer), "a stranded archiver") == []
        [found] = named(stranded_locks(observer, idle_seconds=0), "a stranded archiver")
        assert found.state == "idle"
    with connected(url) as observer:
        assert named(stranded_locks(observer, idle_seconds=0), "a stranded archiver") == []


def test_the_status_names_it(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    def soon(connection: psycopg.Connection[tuple[object, ...]]) -> list[StrandedLock]:
        return stranded_locks(connection, idle_seconds=0)

    monkeypatch.setattr("local.stack.attention.stranded_locks", soon)
    settings = as_login(lake.settings, "batch")
    assert not [reason for reason in attention(settings) if "holds locks" in reason]
    with held_partitions(lake.database_url, lake.topic, lake.topic_id):
        reasons = [reason for reason in attention(settings) if "holds locks" in reason]
    assert len(reasons) == 1
    assert "a stranded archiver (backend " in reasons[0]
