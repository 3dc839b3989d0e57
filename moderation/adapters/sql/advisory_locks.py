"""Advisory locks of jobs that last longer than a transaction.

Without a pooler the session holds the lock. Behind a pooler a session is not a connection of its own, so a transaction
of another connection holds the lock; the pooler leaves that connection alone until the transaction ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from moderation.adapters.sql.connection import Connection
from moderation.adapters.sql.session import is_pooled

_HOLDER = """
SELECT a.application_name, a.pid, a.state, a.state_change AT TIME ZONE 'UTC'
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND (l.classid::bigint << 32) + l.objid::bigint = %s
"""


@contextmanager
def advisory_lock(
    connection: Connection, key: int, on_wait: Callable[[str], None] | None = None
) -> Iterator[str | None]:
    """Hold an advisory lock while the block runs.

    Args:
        connection: in autocommit mode, without an open transaction.
        key: signed, 64 bits.
        on_wait: receives a description of the holder once, if another session holds the lock; then the call waits.
            Without it the call does not wait.

    Yields:
        None if the lock was acquired; else a description of the holder.
    """
    if is_pooled(connection):
        with _another(connection) as other, other.transaction():
            other.execute("SELECT set_config('idle_in_transaction_session_timeout', '0', true)")
            yield _acquire(other, key, "pg_try_advisory_xact_lock", "pg_advisory_xact_lock", on_wait)
        return
    holder = _acquire(connection, key, "pg_try_advisory_lock", "pg_advisory_lock", on_wait)
    try:
        yield holder
    finally:
        # A broken connection has released the lock, and its own error matters more.
        if holder is None and not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))


def _acquire(
    connection: Connection, key: int, attempt: str, wait: str, on_wait: Callable[[str], None] | None
) -> str | None:
    if connection.execute(f"SELECT {attempt}(%s)".encode(), (key,)).fetchone() == (True,):
        return None
    holder = _describe_holder(connection, key)
    if on_wait is None:
        return holder
    on_wait(holder)
    with connection.transaction():
        for limit in ("lock_timeout", "statement_timeout"):
            connection.execute("SELECT set_config(%s, '0', true)", (limit,))
        connection.execute(f"SELECT {wait}(%s)".encode(), (key,))
    return None


def _describe_holder(connection: Connection, key: int) -> str:
    """Describe the session that holds a lock, e.g. ``moderation archive (backend 4711, idle since 10:31:05 UTC)``."""
    row = connection.execute(_HOLDER, (key,)).fetchone()
    if row is None:
        return "another session"
    name, pid, state, since = row
    return f"{name or 'another session'} (backend {pid}{f', {state} since {since:%H:%M:%S} UTC' if since else ''})"


def _another(connection: Connection) -> Connection:
    info = connection.info
    return psycopg.connect(
        info.dsn, password=info.password, autocommit=True, prepare_threshold=None, connect_timeout=10
    )
