"""Paths that archivers of this database may have written and that are in no row of the manifest.

An archiver stores a path before it writes the file. Only such files are ever removed from the lake: what another
database or an operator has put there stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from moderation.adapters.sql.connection import Connection


def note_writing(connection: Connection, path: str, now_us: int) -> None:
    """Store a path before its file is written. Idempotent."""
    connection.execute(
        "INSERT INTO batch.written_paths (path, written_us) VALUES (%s, %s) ON CONFLICT DO NOTHING", (path, now_us)
    )


def forget_written(connection: Connection, paths: Sequence[str]) -> None:
    """Forget paths: the manifest has them, or their files were removed."""
    connection.execute("DELETE FROM batch.written_paths WHERE path = ANY(%s)", (list(paths),))


def written_paths(connection: Connection, prefix: str) -> list[str]:
    """Read the paths that begin with a prefix and that the manifest does not have, in order."""
    rows = connection.execute(
        "SELECT path FROM batch.written_paths w WHERE starts_with(path, %s) "
        "AND NOT EXISTS (SELECT FROM batch.files f WHERE f.path = w.path) ORDER BY path",
        (prefix,),
    )
    return [path for (path,) in rows]
