"""Parse records, for worker and batch alike; a refused record becomes a dead letter."""

from __future__ import annotations

import hashlib

import orjson

from moderation.contracts.lenient import read_action, read_leniently
from moderation.contracts.records import RAW_KEPT_BYTES, Action, Comment, DeadLetter, DeadLetterReason
from moderation.contracts.rules import Read, Rules
from moderation.contracts.strict import read_strictly
from moderation.errors import InvalidRecord

NEWEST_RULES = Rules()


def read_record(raw: bytes, append_us: int, rules: Rules = NEWEST_RULES) -> Read:
    """Read one record of topic ``comments`` by the rules of its offset.

    Args:
        raw: the record's value, at most 1 MiB of JSON.
        append_us: broker append time in microseconds; event times more than five minutes later are refused.
        rules: rules of the record's offset.

    Returns:
        The comment, its repairs, and the number of ignored fields.

    Raises:
        InvalidRecord: with the first ``DeadLetterReason`` that applies.
    """
    if rules.version == 1:
        return Read(read_strictly(raw, append_us))
    return read_leniently(raw, append_us, rules.earliest_event_us)


def parse_record(raw: bytes, append_us: int, rules: Rules = NEWEST_RULES) -> Comment:
    """Read one record of topic ``comments`` as :func:`read_record` does; return the comment only."""
    return read_record(raw, append_us, rules).comment


def parse_action(raw: bytes) -> Action:
    """Read one record of topic ``actions``; see :func:`moderation.contracts.lenient.read_action`."""
    return read_action(raw)


def to_json(record: Comment | Action) -> bytes:
    """Serialise a record as compact UTF-8 JSON, keys in the order of the class; parsing it gives an equal record."""
    return compact_json(record)


def compact_json(value: object) -> bytes:
    """Serialise with orjson into bytes that occupy their own length only.

    The result of orjson itself keeps a block of at least 4 KiB; thousands of them take longer to allocate than to copy.
    """
    return bytes(memoryview(orjson.dumps(value)))


def dead_letter(raw: bytes, append_us: int, error: InvalidRecord) -> DeadLetter:
    """Create the dead letter of a refused record: reason, first 64 KiB, length and SHA-256 of the record."""
    return DeadLetter(
        reason=DeadLetterReason(error.reason),
        detail=error.cause,
        raw=raw[:RAW_KEPT_BYTES],
        raw_length=len(raw),
        raw_sha256=hashlib.sha256(raw).hexdigest(),
        append_us=append_us,
    )


def quarantined(raw: bytes, append_us: int, error_class: str) -> DeadLetter:
    """Create the dead letter of a record that can be read but not decided or stored.

    Args:
        raw: the record's value.
        append_us: broker append time in microseconds.
        error_class: class name of the error; its text may quote the comment.
    """
    error = InvalidRecord(DeadLetterReason.PROCESSING_FAILED, f"deciding or storing it fails: {error_class}")
    return dead_letter(raw, append_us, error)
