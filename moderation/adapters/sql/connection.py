"""PostgreSQL connection for command line and batch; translates driver errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from moderation.errors import ConfigurationError, DatabaseUnavailable, LedgerUnsafe, ModerationError, TableLocked

Connection = psycopg.Connection[tuple[Any, ...]]

# A worker locks a partition for milliseconds; a longer wait means that the worker is frozen.
_LOCK_SECONDS = 15
_REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "permission denied",
)
"""Parts of messages at the login, which has no error codes."""


@contextmanager
def connected(url: str, *, name: str = "moderation") -> Iterator[Connection]:
    """Connect to the database of the ledger in autocommit mode; open transactions explicitly.

    Args:
        url: a libpq connection string.
        name: application name of the connection.

    Raises:
        DatabaseUnavailable: the server cannot be reached, or closes the connection.
        ConfigurationError: it refuses the role, the password or the database.
        TableLocked: another transaction holds a lock.
        LedgerUnsafe: tables or columns are missing.
    """
    try:
        with psycopg.connect(url, connect_timeout=10, autocommit=True, application_name=name) as connection:
            connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{_LOCK_SECONDS}s",))
            yield connection
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise LedgerUnsafe("PostgreSQL", _first_line(error), "Run `moderation migrate`.") from error
    except psycopg.errors.LockNotAvailable as error:
        raise TableLocked(
            "PostgreSQL", f"another transaction kept the partition locked for {_LOCK_SECONDS} s", "Try again."
        ) from error
    except psycopg.OperationalError as error:
        raise connection_error(error, "See MODERATION_DATABASE_URL and `moderation status`.") from error


def connection_error(error: psycopg.Error, remedy: str) -> ModerationError:
    """Return ConfigurationError if the server refuses the login, else DatabaseUnavailable."""
    text = _first_line(error)
    kind = ConfigurationError if any(words in text for words in _REFUSALS) else DatabaseUnavailable
    return kind("PostgreSQL", text, remedy)


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
