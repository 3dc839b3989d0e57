"""Migrate a database to the newest schema, and apply the grants of its roles."""

from __future__ import annotations

import logging
import time

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from moderation.adapters.sql.connection import connection_error, open_connection
from moderation.adapters.sql.grants import create_statements, differences, missing_roles
from moderation.adapters.sql.locks import HOLDERS, describe
from moderation.adapters.sql.partitions import keep_partitions
from moderation.errors import ConfigurationError, TableLocked, Unavailable

_LOCK = 7_205_759  # arbitrary number; concurrent migrations wait for each other
_LOCK_TIMEOUT = "2s"
"""How long a migration waits for a lock, while other sessions queue behind it."""
_PAUSE_SECONDS = 1.0
_PATIENCE_SECONDS = 120.0
_PARTITIONS_PATIENCE_SECONDS = 10.0
"""Partitions of later days are not urgent: without them rows go into DEFAULT."""
_log = logging.getLogger(__name__)
_HEAD = "head"
_REMEDY = "See MODERATION_DATABASE_URL; its role must own the database."


def migrate(engine: Engine, seconds: float = _PATIENCE_SECONDS, upto: str = _HEAD) -> str:
    """Run missing migrations, then grant the roles of :mod:`moderation.adapters.sql.grants` what they may do.

    Idempotent; safe for concurrent processes. Workers may continue: a lock that is not granted soon is given up, so
    that other sessions do not queue behind it, and tried again.

    Args:
        engine: engine with a role that may create schemas, and the group roles if they are missing.
        seconds: how long locks are tried.
        upto: last revision to run.

    Returns:
        The revision of the schema afterwards.

    Raises:
        TableLocked: a lock was not granted in that time; the message names sessions that may hold it.
        ConfigurationError: group roles are missing, and the role may not create them; nothing was changed.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return _upgrade(engine, upto)
        except DBAPIError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
                raise
            holders = _holders(engine)
            if time.monotonic() > until:
                raise TableLocked(
                    "the tables of schemas speed and batch",
                    f"they could not be locked within {seconds:g} s; transactions are open: {holders}",
                    "End them, or wait for their end; then migrate again.",
                ) from error
            _log.warning("a table is locked and the migration is tried again; transactions are open: %s", holders)
        time.sleep(_PAUSE_SECONDS)


def _upgrade(engine: Engine, upto: str) -> str:
    config = Config()
    config.set_main_option("script_location", "moderation.adapters.sql:migrations")
    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _create_roles(connection)
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS speed"))
        config.attributes["connection"] = connection
        command.upgrade(config, upto)
        if upto == _HEAD:
            _apply_grants(connection)
        return str(connection.execute(text("SELECT version_num FROM speed.alembic_version")).scalar_one())


def _create_roles(connection: Connection) -> None:
    missing = missing_roles(lambda query: [tuple(row) for row in connection.exec_driver_sql(query)])
    if not missing:
        return
    may_create = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    if not connection.execute(text(may_create)).scalar_one():
        raise ConfigurationError(
            f"PostgreSQL roles {', '.join(missing)}",
            "they are missing, and the role of MODERATION_DATABASE_URL may not create roles",
            f"Create them as administrator, then migrate again: {'; '.join(create_statements(missing))}. "
            "`moderation grants` prints the statements for the logins of programs.",
        )
    for statement in create_statements(missing):
        # Another database of the server may be migrated at the same time.
        connection.exec_driver_sql(
            f"DO $$ BEGIN {statement}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )


def _apply_grants(connection: Connection) -> None:
    """Grant what the table of grants has, and revoke what it does not have."""
    found = differences(lambda query: [tuple(row) for row in connection.exec_driver_sql(query)])
    for grant in found.excess:
        connection.exec_driver_sql(grant.revoke_statement)
    for grant in found.missing:
        connection.exec_driver_sql(grant.grant_statement)


def _holders(engine: Engine) -> str:
    """Describe sessions with locks on the tables, oldest first."""
    with engine.begin() as connection:
        rows = connection.execute(text(HOLDERS)).all()
    return describe((pid, name, since) for pid, name, since in rows)


def migrate_database(url: str) -> str:
    """Migrate over a new connection, see :func:`migrate`; then create the partitions of the days ahead.

    If the partitions cannot be created, the cause is logged as a warning.

    Args:
        url: a libpq connection string.

    Returns:
        The schema's revision afterwards.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
        ConfigurationError: it refuses the login, or the role lacks rights.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: open_connection(url, name="moderation migrate", autocommit=False),
        poolclass=NullPool,
    )
    try:
        revision = migrate(engine)
    except (psycopg.Error, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(cause, psycopg.OperationalError | psycopg.errors.InsufficientPrivilege):
            raise
        refused = connection_error(cause, _REMEDY)
        if isinstance(cause, psycopg.errors.InsufficientPrivilege):
            refused = ConfigurationError(refused.thing, refused.cause, _REMEDY)
        raise refused from error
    try:
        keep_partitions(url, seconds=_PARTITIONS_PATIENCE_SECONDS)
    except (Unavailable, ConfigurationError) as error:
        _log.warning("%s", error)
    return revision
