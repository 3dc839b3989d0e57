"""When every byte of each file of the lake was last compared with its SHA-256: table ``batch.file_checks``."""

from __future__ import annotations

from moderation.adapters.sql.connection import Connection


def read_checks(connection: Connection) -> dict[str, int]:
    """Read the time of the last check of each file that was checked, by path, microseconds since the epoch."""
    rows: list[tuple[str, int]] = connection.execute("SELECT path, checked_us FROM batch.file_checks").fetchall()
    return dict(rows)


def note_checked(connection: Connection, path: str, checked_us: int) -> None:
    """Store that a file is unaltered; it must be in the manifest."""
    connection.execute(
        "INSERT INTO batch.file_checks (path, checked_us) VALUES (%s, %s) "
        "ON CONFLICT (path) DO UPDATE SET checked_us = excluded.checked_us",
        (path, checked_us),
    )
