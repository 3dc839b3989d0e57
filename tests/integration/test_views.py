"""The files in ``moderation/adapters/sql/views`` define the views of a migrated database."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from local.stack.commands import StackInfo
from moderation.adapters.sql.migrate import migrate_database
from moderation.adapters.sql.view_files import FOLDER, read_views, statement
from tests.support.database_urls import altered_url


@pytest.fixture
def url(stack: StackInfo) -> Iterator[str]:
    """A new database with the newest schema."""
    name = f"views_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(stack.database_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        migrated = altered_url(stack.database_url(), database=name)
        migrate_database(migrated)
        yield migrated
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_view_files_define_the_views_of_a_migrated_database(url: str) -> None:
    files = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.sql")}
    with psycopg.connect(url) as connection:
        migrated = read_views(connection)
        assert files.keys() == migrated.keys(), "write the files again: python -m moderation.adapters.sql.view_files"
        statements = {name: statement(name, definition) for name, definition in migrated.items()}
        # PostgreSQL parses and formats both sides: its output for a view may change once when it is parsed again.
        assert _defined_by(connection, files) == _defined_by(connection, statements)


def _defined_by(connection: psycopg.Connection, statements: dict[str, str]) -> dict[str, str]:
    """The views after the statements, which are rolled back."""
    with connection.transaction(force_rollback=True):
        for text in statements.values():
            connection.execute(text.encode())
        return read_views(connection)
