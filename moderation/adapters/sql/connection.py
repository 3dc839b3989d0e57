"""PostgreSQL connection for command line and batch; translates driver errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from moderation.adapters.sql.locks import describe, lock_holders
from moderation.adapters.sql.session import limit_session
from moderation.errors import ConfigurationError, DatabaseUnavailable, LedgerUnsafe, ModerationError, TableLocked

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS = 10
# A worker locks a partition for milliseconds; a longer wait means that the worker is frozen.
_LOCK_SECONDS = 15
_LOGIN = "See MODERATION_DATABASE_URL and docs/database.md."
_CERTIFICATES = (
    "Set MODERATION_DATABASE_CA_FILE to the certificates of the authority that signed the server's certificate, or "
    "sslrootcert in MODERATION_DATABASE_URL."
)


class _Refusal(NamedTuple):
    """A part of the driver's message when a connection is refused for good, and what to do about it."""

    words: str
    remedy: str


# A refused connection has no error code, only a message.
_REFUSALS = (
    _Refusal("certificate verify failed", f"{_CERTIFICATES} An expired certificate must be renewed on the server."),
    _Refusal("unknown ca", _CERTIFICATES),
    _Refusal("root certificate file", _CERTIFICATES),
    _Refusal(
        "does not match host name",
        "Write the host name of the server's certificate into MODERATION_DATABASE_URL, or renew the certificate.",
    ),
    _Refusal(
        "server does not support SSL",
        "Switch TLS on on the server. Without TLS, remove MODERATION_DATABASE_CA_FILE, and sslmode from "
        "MODERATION_DATABASE_URL.",
    ),
    _Refusal("sslmode", "Fix sslmode in MODERATION_DATABASE_URL: verify-full, or remove it."),
    _Refusal("client certificate", "Set sslcert and sslkey in MODERATION_DATABASE_URL."),
    _Refusal("unsupported startup parameter", "Remove options from MODERATION_DATABASE_URL: a pooler refuses them."),
    _Refusal("password authentication failed", f"The role or its password is wrong. {_LOGIN}"),
    _Refusal("SASL authentication failed", f"The role or its password is wrong. {_LOGIN}"),
    _Refusal("no password supplied", _LOGIN),
    _Refusal("no pg_hba.conf entry", f"The server does not let this role in from here. {_LOGIN}"),
    _Refusal("no such user", _LOGIN),
    _Refusal("no such database", _LOGIN),
    _Refusal("does not exist", _LOGIN),
    _Refusal("permission denied", _LOGIN),
    _Refusal("is not permitted to log in", _LOGIN),
)


def open_connection(url: str, *, name: str, seconds: int = CONNECT_SECONDS, autocommit: bool = True) -> Connection:
    """Connect without any limits on the session.

    Args:
        url: a libpq connection string.
        name: application name of the connection.
        seconds: how long each address is tried.
        autocommit: whether statements outside of a transaction commit at once.

    Raises:
        ConfigurationError: the URL is malformed, or the server refuses the role, the password, the database or TLS.
        psycopg.OperationalError: the server cannot be reached.
    """
    try:
        return psycopg.connect(url, connect_timeout=seconds, autocommit=autocommit, application_name=name)
    except psycopg.OperationalError as error:
        refused = connection_error(error, "")
        if isinstance(refused, ConfigurationError):
            raise refused from error
        raise
    except psycopg.ProgrammingError:
        # Its message may quote the URL with the password.
        raise ConfigurationError(
            "MODERATION_DATABASE_URL",
            "it is not a connection string of libpq",
            "Write postgresql://ROLE:PASSWORD@HOST:5432/DATABASE, with %XX for special characters of the password.",
        ) from None


@contextmanager
def connected(url: str, *, name: str = "moderation") -> Iterator[Connection]:
    """Connect to the database of the ledger in autocommit mode; open transactions explicitly.

    Args:
        url: a libpq connection string.
        name: application name of the connection.

    Raises:
        DatabaseUnavailable: the server cannot be reached, or closes the connection.
        ConfigurationError: it refuses the role, the password, the database or TLS; the role lacks a right; or a pooler
            is in between, and the role has no limit on waiting for locks.
        TableLocked: another transaction holds a lock; the message names sessions with locks.
        LedgerUnsafe: tables or columns are missing.
    """
    try:
        with open_connection(url, name=name) as connection:
            limit_session(connection, {"lock_timeout": f"{_LOCK_SECONDS}s"})
            yield connection
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction) as error:
        raise LedgerUnsafe("PostgreSQL", _first_line(error), "Run `moderation migrate`.") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            "PostgreSQL",
            _first_line(error),
            "MODERATION_DATABASE_URL needs the login of another role: docs/database.md has the rights of each.",
        ) from error
    except psycopg.errors.LockNotAvailable as error:
        raise TableLocked(
            "PostgreSQL",
            f"a lock was not granted within {_LOCK_SECONDS} s; transactions are open: {_holders(url)}",
            "Try again. A session that stays idle can be ended: SELECT pg_terminate_backend(BACKEND).",
        ) from error
    except psycopg.OperationalError as error:
        raise connection_error(error, "See MODERATION_DATABASE_URL and `moderation status`.") from error


def connection_error(error: psycopg.Error, remedy: str) -> ModerationError:
    """Return ConfigurationError if the server refuses the connection for good, else DatabaseUnavailable.

    Args:
        error: of the driver.
        remedy: of an error that may pass.
    """
    # A name with several addresses, or several hosts, has a line for each.
    lines = [line.strip().rstrip(".") for line in str(error).strip().split("\n")]
    for refusal in _REFUSALS:
        for line in lines:
            if refusal.words in line:
                return ConfigurationError("PostgreSQL", line, refusal.remedy)
    return DatabaseUnavailable("PostgreSQL", lines[0], remedy)


def _holders(url: str) -> str:
    try:
        with open_connection(url, name="moderation locks") as connection:
            return describe(lock_holders(connection))
    except (psycopg.Error, ModerationError):
        return "PostgreSQL does not report which"


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
