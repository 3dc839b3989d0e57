"""Find sessions that hold locks: for errors of commands that wait for one, and for locks that idle sessions keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

HOLDERS = """
SELECT DISTINCT a.pid, a.application_name, a.xact_start AT TIME ZONE 'UTC'
  FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.granted AND n.nspname IN ('speed', 'batch') AND l.pid <> pg_backend_pid() ORDER BY 3
"""
"""Other sessions with a lock on a table of schema speed or batch: process id, name, start of transaction (UTC)."""
# An archiver is idle while it reads Kafka, and a snapshot while its rows are exported: they become stranded later than
# a session that blocks another one.
_STRANDED = """
WITH idle AS (
    SELECT a.pid, a.application_name, a.client_addr, a.state, a.state_change,
           now() - a.state_change AS idle_time,
           (SELECT count(*) FROM pg_stat_activity w
             WHERE w.wait_event_type = 'Lock' AND a.pid = ANY(pg_blocking_pids(w.pid))) AS waiting,
           EXISTS (SELECT FROM pg_locks l
                    WHERE l.pid = a.pid AND l.granted AND l.locktype = 'advisory') AS has_advisory,
           EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                     JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE l.pid = a.pid AND l.granted AND n.nspname IN ('speed', 'batch')) AS has_table
      FROM pg_stat_activity a
     WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
       AND a.state LIKE 'idle%%'
)
SELECT pid, application_name, coalesce(host(client_addr), 'the same machine'), state,
       state_change AT TIME ZONE 'UTC', waiting
  FROM idle
 WHERE (has_advisory OR (has_table AND state <> 'idle'))
   AND (idle_time > make_interval(secs => CASE WHEN state = 'idle' THEN %(idle)s ELSE %(in_transaction)s END)
        OR (waiting > 0 AND idle_time > make_interval(secs => %(blocking)s)))
 ORDER BY state_change
"""


@dataclass(frozen=True, slots=True)
class StrandedLock:
    """A session that holds locks and does nothing.

    Attributes:
        pid: process id of its server process, the backend.
        name: application name.
        address: of the client.
        state: ``idle`` or ``idle in transaction``.
        since: when it became idle, UTC.
        waiting: number of sessions that wait for it.
    """

    pid: int
    name: str
    address: str
    state: str
    since: datetime
    waiting: int

    @property
    def message(self) -> str:
        """What is wrong and what to do."""
        waiting = f"; {self.waiting} sessions wait for it" if self.waiting else ""
        return (
            f"PostgreSQL session {self.name or 'without a name'} (backend {self.pid}, from {self.address}) holds locks "
            f"and is {self.state} since {self.since:%Y-%m-%d %H:%M:%S} UTC{waiting}; if its program no longer works, "
            f"end it: SELECT pg_terminate_backend({self.pid})"
        )


def lock_holders(connection: psycopg.Connection[Any]) -> list[tuple[int, str, datetime | None]]:
    """Return the sessions of :data:`HOLDERS`."""
    return connection.execute(HOLDERS).fetchall()


def stranded_locks(
    connection: psycopg.Connection[Any],
    *,
    idle_seconds: float = 900,
    in_transaction_seconds: float = 300,
    blocking_seconds: float = 10,
) -> list[StrandedLock]:
    """Return idle sessions of this database that hold locks, the longest idle first.

    Sessions of other roles are found only by members of ``pg_read_all_stats``.

    Args:
        connection: to the ledger's database.
        idle_seconds: from when a session without a transaction counts.
        in_transaction_seconds: from when a session in a transaction counts.
        blocking_seconds: from when a session counts for which others wait.
    """
    limits = {"idle": idle_seconds, "in_transaction": in_transaction_seconds, "blocking": blocking_seconds}
    return [StrandedLock(*row) for row in connection.execute(_STRANDED, limits)]


def describe(holders: Iterable[tuple[int, str, datetime | None]]) -> str:
    """Describe the sessions of :data:`HOLDERS`, in their order.

    Returns:
        E.g. ``report (backend 4711, since 10:31:05 UTC)``; ``none any more`` if the list is empty.
    """
    named = [
        f"{name or 'a session'} (backend {pid}{'' if since is None else f', since {since:%H:%M:%S} UTC'})"
        for pid, name, since in holders
    ]
    return ", ".join(named) or "none any more"
