"""Examples for every rule of the classification of errors; a rule without an example fails."""

from __future__ import annotations

import psycopg
import pytest
from confluent_kafka import KafkaException
from psycopg import errors

from moderation.adapters import error_origin
from moderation.errors import ConfigurationError, FenceLost, InvalidRecord, LedgerUnsafe, RegistryUnavailable

SECRET = "words of a comment"
RECORDS: tuple[BaseException, ...] = (
    InvalidRecord("wrong_type", "a reason"),
    errors.ProgramLimitExceeded(SECRET),
    errors.UntranslatableCharacter(SECRET),
    errors.NumericValueOutOfRange(SECRET),
    errors.CheckViolation(SECRET),
    ValueError(SECRET),
    UnicodeEncodeError("utf-8", SECRET, 0, 1, "surrogates not allowed"),
    RecursionError(SECRET),
    OverflowError(SECRET),
    ZeroDivisionError(SECRET),
)
OTHERS: tuple[BaseException, ...] = (
    ConfigurationError("setting", "unknown"),
    LedgerUnsafe("PostgreSQL", "fsync is off"),
    FenceLost("partition 0", "another worker has it"),
    RegistryUnavailable("registry", "away"),
    MemoryError(),
    OSError("file system"),
    ConnectionResetError("broker"),
    ImportError("no module"),
    KafkaException("no broker"),
    errors.UniqueViolation("stored by another worker"),
    errors.DiskFull("no space left"),
    errors.LockNotAvailable("a reader"),
    errors.QueryCanceled("statement timeout"),
    errors.DeadlockDetected("two workers"),
    errors.InsufficientPrivilege("a role"),
    errors.UndefinedTable("not migrated"),
    errors.ReadOnlySqlTransaction("a standby"),
    psycopg.OperationalError("away"),
    psycopg.InterfaceError("connection closed"),
    KeyboardInterrupt(),
)


@pytest.mark.parametrize("error", RECORDS, ids=lambda error: type(error).__name__)
def test_errors_that_a_record_can_cause_are_logged_without_text(error: BaseException) -> None:
    assert error_origin.is_caused_by_record(error)
    assert SECRET not in error_origin.loggable_text(error)
    assert type(error).__name__ in error_origin.loggable_text(error)


@pytest.mark.parametrize("error", OTHERS, ids=lambda error: type(error).__name__)
def test_errors_that_no_record_causes(error: BaseException) -> None:
    assert not error_origin.is_caused_by_record(error)
    assert type(error).__name__ in error_origin.loggable_text(error)


def test_every_rule_has_an_example() -> None:
    used = {
        next(number for number, rule in enumerate(error_origin.RULES) if isinstance(error, rule.error))
        for error in (*RECORDS, *OTHERS)
    }
    assert used == set(range(len(error_origin.RULES)))
