"""Classify errors of deciding or storing a batch: can a record of the batch be the cause?

Only such an error puts a record into quarantine. Any other error is retried or ends the process, because another
process, or the same one once the server is back, can decide the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from confluent_kafka import KafkaException

from moderation.errors import BadRecord, ModerationError


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the classification.

    Attributes:
        error: the error class, with its subclasses that no earlier rule names.
        is_caused_by_record: whether a record can be the cause.
        why: the reason.
    """

    error: type[BaseException]
    is_caused_by_record: bool
    why: str


RULES = (
    Rule(BadRecord, True, "it is raised for a record"),
    Rule(ModerationError, False, "a setting, a server, a fence or a file"),
    Rule(MemoryError, False, "the process as a whole has too little memory"),
    Rule(OSError, False, "the file system or the network"),
    Rule(ImportError, False, "the installation"),
    Rule(KafkaException, False, "the brokers"),
    Rule(psycopg.errors.ProgramLimitExceeded, True, "a value is too large for a column or an index"),
    Rule(psycopg.errors.UniqueViolation, False, "another worker stored the offset"),
    Rule(psycopg.DataError, True, "PostgreSQL cannot store a value"),
    Rule(psycopg.IntegrityError, True, "a value violates a constraint of the table"),
    Rule(psycopg.Error, False, "the server, the connection, a lock, the disk, rights or the schema"),
    Rule(Exception, True, "a defect of this project; a control text shows whether every record triggers it"),
    Rule(BaseException, False, "the process was asked to end"),
)
"""The first rule that matches applies."""


def is_caused_by_record(error: BaseException) -> bool:
    """Whether a record can be the cause of an error."""
    return next(rule.is_caused_by_record for rule in RULES if isinstance(error, rule.error))


def class_name(error: BaseException) -> str:
    """The class name of an error, which may be stored; the text of an error may quote the comment."""
    return type(error).__name__


def loggable_text(error: BaseException) -> str:
    """The description of an error for logs: its text only if that cannot quote a comment."""
    name, code = class_name(error), getattr(error, "sqlstate", None)
    if is_caused_by_record(error) or (isinstance(error, psycopg.Error) and code is not None):
        return name if code is None else f"{name} ({code})"
    return f"{name}: {error}"
