"""Bring a database to the newest schema."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

_LOCK = 7_205_759  # any number of ours: two migrations at once wait for each other


def migrate(engine: Engine) -> None:
    """Run the migrations that are missing; harmless when none is, and when two processes do it at once.

    Args:
        engine: of a database whose role may create schemas.
    """
    config = Config()
    config.set_main_option("script_location", "moderation.adapters.sql:migrations")
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS speed"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
