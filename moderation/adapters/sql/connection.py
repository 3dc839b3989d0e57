"""PostgreSQL connection for command line and batch; translates driver errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from moderation.errors import ConfigurationError, LedgerUnsafe

Connection = psycopg.Connection[tuple[Any, ...]]

# A worker locks a partition for milliseconds; a longer wait means that the worker is frozen.
_LOCK_SECONDS = 15


@contextmanager
def connected(url: str, *, name: str = "moderation") -> Iterator[Connection]:
    """Connect to the database of the ledger in autocommit mode; open transactions explicitly.

    Args:
        url: a libpq connection string.
        name: application name of the connection.

    Raises:
        ConfigurationError: the server cannot be reached, or closes the connection.
        LedgerUnsafe: tables or columns are missing.
    """
    try:
        with psycopg.connect(url, connect_timeout=10, autocommit=True, application_name=name) as connection:
            connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{_LOCK_SECONDS}s",))
            yield connection
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise LedgerUnsafe("PostgreSQL", _first_line(error), "Run the migrations first.") from error
    except psycopg.errors.LockNotAvailable as error:
        raise ConfigurationError(
            "PostgreSQL", f"another transaction held the partition for {_LOCK_SECONDS} s", "Try again."
        ) from error
    except psycopg.OperationalError as error:
        raise ConfigurationError(
            "PostgreSQL", _first_line(error), "See MODERATION_DATABASE_URL and `moderation status`."
        ) from error


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
