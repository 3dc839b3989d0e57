"""One connection for a command of a person: it ends with the block, and fails in words a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from moderation.errors import ConfigurationError, LedgerUnsafe

Connection = psycopg.Connection[tuple[Any, ...]]

# A worker's transaction holds a partition for milliseconds; whoever waits longer waits for one that is frozen.
_LOCK_SECONDS = 15


@contextmanager
def connected(url: str, *, name: str = "moderation") -> Iterator[Connection]:
    """Connect to the ledger's database; every transaction must be opened by name.

    Args:
        url: a libpq connection string.
        name: what the server shows as the connection's.

    Raises:
        ConfigurationError: the server cannot be reached, or breaks off.
        LedgerUnsafe: it does not have the ledger's tables as they are today.
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
