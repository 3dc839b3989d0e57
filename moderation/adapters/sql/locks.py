"""Find sessions that hold locks on the tables, for error messages of commands that wait for a lock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

HOLDERS = """
SELECT DISTINCT a.pid, a.application_name, a.xact_start AT TIME ZONE 'UTC'
  FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.granted AND n.nspname IN ('speed', 'batch') AND l.pid <> pg_backend_pid() ORDER BY 3
"""
"""Other sessions with a lock on a table of schema speed or batch: process id, name, start of transaction (UTC)."""


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
