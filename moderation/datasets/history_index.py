"""Record ids and last actions of a history, in a temporary SQLite database: memory does not grow with their number.

SQLite deletes the database when it is closed, and writes it to disk only if it is larger than its cache.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from moderation.errors import DatasetError

CACHE_KIB = 32 * 1024
_TABLES = """
PRAGMA cache_size = -{cache_kib};
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE seen (record_id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE actions (comment_id TEXT PRIMARY KEY, time_us INTEGER, value BLOB) WITHOUT ROWID;
"""
_SEE = "INSERT OR IGNORE INTO seen VALUES (?)"
_ADD_ACTION = """
INSERT INTO actions VALUES (?, ?, ?)
ON CONFLICT (comment_id) DO UPDATE SET time_us = excluded.time_us, value = excluded.value
WHERE excluded.time_us >= actions.time_us
"""
_FIND_ACTION = "SELECT value FROM actions WHERE comment_id = ?"


class HistoryIndex:
    """Finds repeated records and the last action on a comment; :func:`history_index` opens it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._cursor = database.cursor()

    def add_actions(self, actions: Iterable[tuple[str, int, bytes]]) -> None:
        """Add actions in the order of their file; of those on one comment, the latest stays, of several the last.

        Args:
            actions: id of the comment, time in microseconds and value of each.

        Raises:
            DatasetError: the database cannot be written.
        """
        with _checked():
            self._cursor.executemany(_ADD_ACTION, actions)

    def last_action(self, comment_id: str) -> bytes | None:
        """Return the value of the last action on a comment; None if there is none.

        Raises:
            DatasetError: the database cannot be read.
        """
        with _checked():
            found = self._cursor.execute(_FIND_ACTION, (comment_id,)).fetchone()
        return None if found is None else bytes(found[0])

    def is_new(self, record_id: bytes) -> bool:
        """Take note of a record; return whether it was not there before.

        Raises:
            DatasetError: the database cannot be written.
        """
        with _checked():
            return self._cursor.execute(_SEE, (record_id,)).rowcount == 1


@contextmanager
def history_index() -> Iterator[HistoryIndex]:
    """Open an empty index; it is deleted at the end.

    Raises:
        DatasetError: the database cannot be created.
    """
    # Threads take turns: what reads a history may be resumed in another thread.
    with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as database:
        with _checked():
            database.executescript(_TABLES.format(cache_kib=CACHE_KIB))
            database.execute("BEGIN")
        yield HistoryIndex(database)


@contextmanager
def _checked() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise DatasetError(
            "record ids of the history",
            f"they cannot be written to {tempfile.gettempdir()} ({error})",
            "Free space there, about 100 bytes a comment and 300 bytes an action, or name another folder in TMPDIR.",
        ) from error
