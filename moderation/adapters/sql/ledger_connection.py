"""The worker's connection to the ledger; it refuses a database that could lose what the worker acknowledges."""

from __future__ import annotations

import ipaddress
import logging
from typing import Literal

import psycopg

from moderation.adapters.sql.connection import Connection, connection_error, open_connection
from moderation.adapters.sql.grants import LIMITS, Role
from moderation.adapters.sql.session import limit_session
from moderation.errors import ConfigurationError, LedgerUnsafe

Durability = Literal["server", "provider"]
# A worker that freezes inside a transaction must not hold the locks of its partitions longer than a takeover takes.
_LIMITS = LIMITS[Role.WORKER]
_OF_SERVER = ("fsync", "full_page_writes")
_OF_COMMIT = "synchronous_commit"
_log = logging.getLogger(__name__)


def connect_ledger(url: str, durability: Durability = "server") -> Connection:
    """Connect, limit the session, and check durability, schema and rights.

    Args:
        url: a libpq connection string.
        durability: ``provider`` if the provider of the database guarantees that a crash of the server loses no commit
            although ``fsync`` or ``full_page_writes`` is off. ``synchronous_commit`` must be on in any case.

    Raises:
        LedgerUnsafe: a durability setting is off, or the schema is missing.
        ConfigurationError: the URL is malformed; the server refuses the role, the password, the database or TLS; the
            role lacks rights; or a pooler is in between, and the role lacks time limits.
        psycopg.OperationalError: the server cannot be reached; retry later.
    """
    connection = open_connection(url, name="moderation worker ledger", autocommit=False)
    try:
        with connection.transaction():
            limit_session(connection, _LIMITS)
            _require_durable(connection, durability)
            _require_schema(connection)
            _require_rights(connection)
        _warn_unencrypted(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        role, cause = connection.info.user, connection_error(error, "").cause
        connection.close()
        raise ConfigurationError(f"PostgreSQL role {role}", cause, f"GRANT moderation_worker TO {role}.") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _require_durable(connection: Connection, durability: Durability) -> None:
    for name in (_OF_COMMIT, *(_OF_SERVER if durability == "server" else ())):
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
        if row is None or row[0] != "on":
            remedy = f"Set {name} = on."
            if name in _OF_SERVER:
                remedy += (
                    " If your provider guarantees by other means that no commit is lost, set "
                    "MODERATION_DATABASE_DURABILITY=provider."
                )
            raise LedgerUnsafe(
                f"PostgreSQL setting {name}",
                f"it is {row and row[0]!r}, so a crash could lose what was acknowledged",
                remedy,
            )


def _require_schema(connection: Connection) -> None:
    if connection.execute("SELECT to_regclass('speed.panes')").fetchone() == (None,):
        raise LedgerUnsafe("PostgreSQL", "it has no table speed.panes", "Run `moderation migrate`.")
    default_partition = connection.execute(
        "SELECT FROM pg_partitioned_table WHERE partrelid = 'speed.decisions'::regclass AND partdefid <> 0"
    ).fetchone()
    if default_partition is None:
        raise LedgerUnsafe(
            "table speed.decisions",
            "it has no DEFAULT partition",
            "Run `moderation migrate`, or attach it again.",
        )


def _require_rights(connection: Connection) -> None:
    """Refuse the login of another program at once, instead of failing at the first batch."""
    rights = "SELECT has_table_privilege('speed.decisions', 'INSERT'), current_user"
    row = connection.execute(rights).fetchone()
    if row is None or not row[0]:
        raise ConfigurationError(
            f"PostgreSQL role {row and row[1]}",
            "it may not add decisions",
            f"GRANT moderation_worker TO {row and row[1]}.",
        )


def _warn_unencrypted(connection: Connection) -> None:
    info = connection.info
    if connection.pgconn.ssl_in_use or _is_local(info.host):
        return
    _log.warning(
        "the connection to PostgreSQL on %s is not encrypted; MODERATION_DATABASE_CA_FILE demands TLS, see "
        "docs/database.md",
        info.host,
    )


def _is_local(host: str) -> bool:
    """Whether a host is this machine: a socket's folder, ``localhost`` or a loopback address."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
