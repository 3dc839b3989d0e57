"""Limits of a database session, with and without a connection pooler.

A pooler such as PgBouncer in transaction mode gives each transaction any of its server connections. A setting of the
session would then apply to other clients, a statement prepared once would be unknown to the next server connection,
and a lock of the session would stay with a connection that others use. Behind a pooler the limits must therefore be
settings of the role.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from moderation.errors import ConfigurationError


def is_pooled(connection: psycopg.Connection[Any]) -> bool:
    """Whether a pooler is between client and server: it announces another process than the one that answers."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row is None or row[0] != connection.info.backend_pid


def limit_session(connection: psycopg.Connection[Any], limits: Mapping[str, str]) -> bool:
    """Limit the times of a session; behind a pooler check that the role has such limits, and prepare no statements.

    Args:
        connection: without a transaction, or with one that will be committed.
        limits: settings by name, e.g. ``{"lock_timeout": "15s"}``.

    Returns:
        Whether the connection goes through a pooler.

    Raises:
        ConfigurationError: it does, and the role has no such limit.
    """
    if not is_pooled(connection):
        for name, limit in limits.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, limit))
        return False
    connection.prepare_threshold = None
    missing = [name for name in limits if _shown(connection, name) == "0"]
    if missing:
        role = connection.info.user
        statements = "; ".join(f"ALTER ROLE {role} SET {name} = '{limits[name]}'" for name in missing)
        raise ConfigurationError(
            f"PostgreSQL role {role}",
            f"the connection goes through a pooler, and the role has no {', '.join(missing)}; a setting of the session "
            "would apply to other clients of the pooler",
            f"Run as administrator, then restart the pooler's server connections (RECONNECT): {statements}.",
        )
    return True


def _shown(connection: psycopg.Connection[Any], name: str) -> str:
    row = connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()
    return str(row[0]) if row else ""
