"""Migrate a database to the newest schema."""

from __future__ import annotations

import logging
import time

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from moderation.adapters.sql.connection import connection_error
from moderation.adapters.sql.locks import HOLDERS, describe
from moderation.adapters.sql.partitions import keep_partitions
from moderation.errors import ConfigurationError, TableLocked, Unavailable

_LOCK = 7_205_759  # arbitrary number; concurrent migrations wait for each other
_CONNECT_SECONDS = 10
_LOCK_TIMEOUT = "2s"
"""How long a migration waits for a lock, while other sessions queue behind it."""
_PAUSE_SECONDS = 1.0
_PATIENCE_SECONDS = 120.0
_PARTITIONS_PATIENCE_SECONDS = 10.0
"""Partitions of later days are not urgent: without them rows go into DEFAULT."""
_log = logging.getLogger(__name__)
_REMEDY = (
    "See MODERATION_DATABASE_URL; its role must own the database. If there is no role moderation_reader, create it as "
    "administrator: CREATE ROLE moderation_reader NOLOGIN."
)


def migrate(engine: Engine, seconds: float = _PATIENCE_SECONDS, upto: str = "head") -> str:
    """Run missing migrations. Idempotent; safe for concurrent processes.

    Workers may continue: a lock that is not granted soon is given up, so that other sessions do not queue behind it,
        and
    tried again.

    Args:
        engine: engine with a role that may create schemas, and the role ``moderation_reader`` if it is missing.
        seconds: how long locks are tried.
        upto: last revision to run.

    Returns:
        The revision of the schema afterwards.

    Raises:
        TableLocked: a lock was not granted in that time; the message names sessions that may hold it.
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
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS speed"))
        config.attributes["connection"] = connection
        command.upgrade(config, upto)
        return str(connection.execute(text("SELECT version_num FROM speed.alembic_version")).scalar_one())


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
        creator=lambda: psycopg.connect(url, connect_timeout=_CONNECT_SECONDS, application_name="moderation migrate"),
        poolclass=NullPool,
    )
    try:
        revision = migrate(engine)
    except (psycopg.Error, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(cause, psycopg.OperationalError | psycopg.errors.InsufficientPrivilege):
            raise
        raise connection_error(cause, _REMEDY) from error
    try:
        keep_partitions(url, seconds=_PARTITIONS_PATIENCE_SECONDS)
    except (Unavailable, ConfigurationError) as error:
        _log.warning("%s", error)
    return revision
