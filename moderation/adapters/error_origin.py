"""Whose fault an error is that deciding or storing a batch raised: a record's, or not.

Only a record's error ends in quarantine. Everything else ends the process or is tried again, since the records of the
batch would be decided well by another process, or once the server is back.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from confluent_kafka import KafkaException

from moderation.errors import BadRecord, ModerationError


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table.

    Attributes:
        error: the class; subclasses are meant as well, unless a row above names them.
        is_caused_by_record: whether a record can be the cause.
        why: for people.
    """

    error: type[BaseException]
    is_caused_by_record: bool
    why: str


TABLE = (
    Row(BadRecord, True, "it says so"),
    Row(ModerationError, False, "a setting, a server, a fence or a file"),
    Row(MemoryError, False, "the process as a whole has too little memory"),
    Row(OSError, False, "the file system or the network"),
    Row(ImportError, False, "the installation"),
    Row(KafkaException, False, "the brokers"),
    Row(psycopg.errors.ProgramLimitExceeded, True, "a value is too large for a column or an index"),
    Row(psycopg.errors.UniqueViolation, False, "the offset was stored by somebody else"),
    Row(psycopg.DataError, True, "PostgreSQL cannot hold a value"),
    Row(psycopg.IntegrityError, True, "a value breaks a rule of the table"),
    Row(psycopg.Error, False, "the server, the connection, a lock, the disk, rights or the schema"),
    Row(Exception, True, "a defect of ours that this record meets; a control text shows whether others meet it too"),
    Row(BaseException, False, "the process is asked to end"),
)
"""The first row that fits counts."""


def is_caused_by_record(error: BaseException) -> bool:
    """Whether a record can be the cause of an error."""
    return next(row.is_caused_by_record for row in TABLE if isinstance(error, row.error))


def name_of(error: BaseException) -> str:
    """What may be kept of an error: its class. Its text may quote the comment."""
    return type(error).__name__


def shown(error: BaseException) -> str:
    """What a log may say of an error: its text only where that cannot quote a comment."""
    name, code = name_of(error), getattr(error, "sqlstate", None)
    if is_caused_by_record(error) or (isinstance(error, psycopg.Error) and code is not None):
        return name if code is None else f"{name} ({code})"
    return f"{name}: {error}"
