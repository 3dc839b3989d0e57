"""Migrations while workers write and a reader keeps a transaction open."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from local.stack.commands import StackInfo
from moderation.adapters.sql.migrate import migrate
from moderation.adapters.sql.view_files import read_views
from moderation.errors import TableLocked
from tests.support.database_urls import altered_url


@pytest.fixture
def url(stack: StackInfo) -> Iterator[str]:
    """Database for one test, in the state before the last migration."""
    name = f"migrated_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(stack.database_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        own = altered_url(stack.database_url(), database=name)
        migrate(engine_of(own), upto="0005")
        with psycopg.connect(own) as filled:
            filled.execute(
                "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
                "VALUES (%s, 0, 'comments', 0, 0, 0)",
                (uuid.uuid4(),),
            )
        yield own
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def engine_of(url: str) -> Engine:
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)


@pytest.mark.long
@pytest.mark.budget(30)
def test_a_migration_waits_for_a_reader_and_no_worker_waits_for_the_migration(url: str) -> None:
    over, moved = threading.Event(), 0
    with (
        psycopg.connect(url, application_name="a reader") as reader,
        psycopg.connect(url, autocommit=True) as worker,
        ThreadPoolExecutor(1) as pool,
    ):
        reader.execute("SELECT count(*) FROM speed.source_offsets").fetchone()
        worker.execute("SET lock_timeout = '8s'")
        migration = pool.submit(migrate, engine_of(url))
        migration.add_done_callback(lambda _: over.set())
        while moved < 20 and not over.wait(0.2):
            worker.execute("UPDATE speed.source_offsets SET next = next + 1")
            moved += 1
        assert not over.is_set()
        reader.rollback()
        assert migration.result(30) > "0005"
        worker.execute("UPDATE speed.source_offsets SET attempts = attempts + 1")
    assert moved == 20


def test_the_session_that_blocks_a_migration_is_named(url: str) -> None:
    with psycopg.connect(url, application_name="a reader") as reader:
        reader.execute("SELECT count(*) FROM speed.source_offsets").fetchone()
        with pytest.raises(TableLocked, match=r"a reader \(backend \d+, since"):
            migrate(engine_of(url), seconds=0)


def test_the_columns_of_counted_defects_are_removed_and_added_again(url: str) -> None:
    migrate(engine_of(url), upto="0023")
    with psycopg.connect(url) as connection:
        before = read_views(connection)
    head = migrate(engine_of(url))
    with psycopg.connect(url) as connection:
        after = read_views(connection)
    assert after != before
    config = Config()
    config.set_main_option("script_location", "moderation.adapters.sql:migrations")
    with engine_of(url).begin() as changing:
        config.attributes["connection"] = changing
        command.downgrade(config, "0023")
    with psycopg.connect(url) as connection:
        assert read_views(connection) == before
    assert migrate(engine_of(url)) == head
    with psycopg.connect(url) as connection:
        assert read_views(connection) == after
