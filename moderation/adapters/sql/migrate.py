"""Bring a database to the newest schema."""

from __future__ import annotations

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from moderation.errors import ConfigurationError

_LOCK = 7_205_759  # any number of ours: two migrations at once wait for each other
_CONNECT_SECONDS = 10
_REMEDY = (
    "See MODERATION_DATABASE_URL; its role must own the database. If there is no role moderation_reader, make it as "
    "administrator: CREATE ROLE moderation_reader NOLOGIN."
)


def migrate(engine: Engine) -> str:
    """Run the migrations that are missing; harmless when none is, and when two processes do it at once.

    Args:
        engine: of a database whose role may create schemas, and the role ``moderation_reader`` if it is not there.

    Returns:
        The schema's revision afterwards.
    """
    config = Config()
    config.set_main_option("script_location", "moderation.adapters.sql:migrations")
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS speed"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return str(connection.execute(text("SELECT version_num FROM speed.alembic_version")).scalar_one())


def migrate_database(url: str) -> str:
    """:func:`migrate`, over a connection of its own.

    Args:
        url: a libpq connection string.

    Returns:
        The schema's revision afterwards.

    Raises:
        ConfigurationError: the database cannot be reached, or its role may not do what migrations do.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, connect_timeout=_CONNECT_SECONDS, application_name="moderation migrate"),
        poolclass=NullPool,
    )
    try:
        return migrate(engine)
    except (psycopg.Error, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(cause, psycopg.OperationalError | psycopg.errors.InsufficientPrivilege):
            raise
        raise ConfigurationError("PostgreSQL", str(cause).strip().split("\n")[0].rstrip("."), _REMEDY) from error
