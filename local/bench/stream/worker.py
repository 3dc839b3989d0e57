"""Our worker in benchmarks: with its own database and consumer group, and all functions on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg import sql
from pydantic import SecretStr

from local.stack.commands import StackInfo
from local.stack.layout import StackLayout
from local.stack.worker import settings_environment, stack_settings
from moderation.adapters.sql.migrate import migrate_database
from moderation.settings import Settings

COMMAND = [sys.executable, "-P", "-m", "stream", "--loop", "uvloop", "worker", "--without-web"]


@contextmanager
def ledger_of(layout: StackLayout, info: StackInfo, prefix: str, name: str) -> Iterator[Settings]:
    """Yield settings of a worker with an empty ledger and its own consumer group; drop the ledger at the end.

    Args:
        layout: of the stack.
        info: its addresses.
        prefix: of the worker's topics, which exist.
        name: of the ledger's database and the group, lower-case letters, digits and underscores.
    """
    admin = info.database_url()
    url = admin.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    migrate_database(url)
    settings = stack_settings(layout, info, topic_prefix=prefix)
    try:
        yield settings.model_copy(
            update={
                "database_url": SecretStr(url),
                "consumer_group": name,
                "metrics_port": 0,
                "log_level": "warning",
                "state_folder": layout.state / name,
            }
        )
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def environment(settings: Settings) -> Mapping[str, str]:
    """Return the environment of its process."""
    return settings_environment(settings)
