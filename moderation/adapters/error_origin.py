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
class Rule:
    """A row of the table.

    Attributes:
        error: the class; subclasses are meant as well, unless a row above names them.
        is_caused_by_record: whether a record can be the cause.
        why: for people.
    """

    error: type[BaseException]
    is_caused_by_record: bool
    why: str


RULES = (
    Rule(BadRecord, True, "it says so"),
    Rule(ModerationError, False, "a setting, a server, a fence or a file"),
    Rule(MemoryError, False, "the process as a whole has too little memory"),
    Rule(OSError, False, "the file system or the network"),
    Rule(ImportError, False, "the installation"),
    Rule(KafkaException, False, "the brokers"),
    Rule(psycopg.errors.ProgramLimitExceeded, True, "a value is too large for a column or an index"),
    Rule(psycopg.errors.UniqueViolation, False, "the offset was stored by somebody else"),
    Rule(psycopg.DataError, True, "PostgreSQL cannot hold a value"),
    Rule(psycopg.IntegrityError, True, "a value breaks a rule of the table"),
    Rule(psycopg.Error, False, "the server, the connection, a lock, the disk, rights or the schema"),
    Rule(Exception, True, "a defect of ours that this record meets; a control text shows whether others meet it too"),
    Rule(BaseException, False, "the process is asked to end"),
)
"""The first row that fits counts."""


def is_caused_by_record(error: BaseException) -> bool:
    """Whether a record can be the cause of an error."""
    return next(rule.is_caused_by_record for rule in RULES if isinstance(error, rule.error))


def class_name(error: BaseException) -> str:
    """What may be kept of an error: its class. Its text may quote the comment."""
    return type(error).__name__


def loggable_text(error: BaseException) -> str:
    """What a log may say of an error: its text only where that cannot quote a comment."""
    name, code = class_name(error), getattr(error, "sqlstate", None)
    if is_caused_by_record(error) or (isinstance(error, psycopg.Error) and code is not None):
        return name if code is None else f"{name} ({code})"
    return f"{name}: {error}"
