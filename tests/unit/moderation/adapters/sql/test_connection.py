from __future__ import annotations

import psycopg
import pytest

from moderation.adapters.sql.connection import connection_error, open_connection
from moderation.adapters.sql.ledger_connection import _is_local
from moderation.errors import ConfigurationError, DatabaseUnavailable, ModerationError

CA, URL = "MODERATION_DATABASE_CA_FILE", "MODERATION_DATABASE_URL"


@pytest.mark.parametrize(
    ("message", "kind", "remedy"),
    [
        ("SSL error: certificate verify failed", ConfigurationError, CA),
        ('root certificate file "/ca.pem" does not exist', ConfigurationError, CA),
        ("SSL error: tlsv1 alert unknown ca", ConfigurationError, CA),
        ('server certificate for "db" does not match host name "127.0.0.1"', ConfigurationError, URL),
        (
            'connection to server at "db" (::1), port 5432 failed: Connection refused\n\tIs the server running?\n'
            'connection to server at "db" (127.0.0.1), port 5432 failed: FATAL:  role "x" does not exist',
            ConfigurationError,
            URL,
        ),
        ("server does not support SSL, but SSL was required", ConfigurationError, CA),
        ('FATAL:  password authentication failed for user "worker"', ConfigurationError, URL),
        ('FATAL:  no pg_hba.conf entry for host "::1", user "x", database "y", no encryption', ConfigurationError, URL),
        ('invalid sslmode value: "verify"', ConfigurationError, URL),
        ("FATAL:  unsupported startup parameter: options", ConfigurationError, URL),
        ("connection refused", DatabaseUnavailable, "later"),
        ("SSL connection has been closed unexpectedly", DatabaseUnavailable, "later"),
        ("FATAL:  the database system is starting up", DatabaseUnavailable, "later"),
    ],
)
def test_a_refused_connection_names_the_setting_and_others_may_pass(
    message: str, kind: type[ModerationError], remedy: str
) -> None:
    error = connection_error(psycopg.OperationalError(message), "Try later.")
    assert type(error) is kind
    assert remedy in error.remedy


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://worker:s3cret@[::1/moderation",
        "host=db port=x=s3cret secret=s3cret",
        "postgresql://worker:s3cret@h/d?x=1",
    ],
)
def test_a_malformed_url_is_named_by_its_setting_without_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=URL) as raised:
        open_connection(url, name="test")
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        *((host, True) for host in ("", "/run/postgresql", "localhost", "127.0.0.2", "::1")),
        *((host, False) for host in ("10.0.0.1", "db.example")),
    ],
)
def test_only_this_machine_needs_no_encryption(host: str, is_local: bool) -> None:
    assert _is_local(host) is is_local
