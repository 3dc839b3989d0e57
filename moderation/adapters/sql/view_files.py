"""The current definitions of the views, as files ``views/<schema>.<name>.sql``, one for each view.

Migrations create and change the views; the files show the result, and a test compares them with a migrated database.
After a migration that changes a view, write the files again from a migrated database:
``MODERATION_DATABASE_URL=… python -m moderation.adapters.sql.view_files``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from moderation.adapters.sql.connection import connected
from moderation.settings import load_settings, required

FOLDER = Path(__file__).parent / "views"
_VIEWS = """
SELECT schemaname || '.' || viewname, definition FROM pg_views WHERE schemaname IN ('serving', 'speed') ORDER BY 1
"""


def read_views(connection: psycopg.Connection[tuple[Any, ...]]) -> dict[str, str]:
    """Read the definitions of the views by name with schema, as PostgreSQL formats them.

    Args:
        connection: to a migrated database.
    """
    rows: list[tuple[str, str]] = connection.execute(_VIEWS).fetchall()
    return dict(rows)


def statement(name: str, definition: str) -> str:
    """The SQL statement that creates or replaces a view: the text of its file.

    Args:
        name: name with schema.
        definition: the query of the view.
    """
    return f"CREATE OR REPLACE VIEW {name} AS\n{definition}\n"


def main() -> None:
    """Write the files of all views of the configured database, and remove other files.

    Raises:
        ConfigurationError: the database is not configured or cannot be reached.
    """
    with connected(required(load_settings().database_url, "database_url")) as connection:
        views = read_views(connection)
    for path in FOLDER.glob("*.sql"):
        path.unlink()
    for name, definition in views.items():
        (FOLDER / f"{name}.sql").write_text(statement(name, definition), encoding="utf-8")


if __name__ == "__main__":
    main()
