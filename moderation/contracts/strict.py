"""Rules version 1: refuse every malformed record. Frozen; kept to recompute the offsets it decided."""

from __future__ import annotations

from typing import Any, NoReturn

import orjson

from moderation.contracts.records import (
    MAX_BODY_CHARACTERS,
    MAX_FUTURE_US,
    MAX_ID_CHARACTERS,
    MAX_RECORD_BYTES,
    MAX_TIME_US,
    SCHEMA_VERSION,
    Comment,
    DeadLetterReason,
)
from moderation.errors import InvalidRecord

_COMMENT_REQUIRED = ("comment_id", "community", "body", "event_time_us")
_COMMENT_FIELDS = frozenset((*_COMMENT_REQUIRED, "schema_version", "author_key", "parent_id"))


def read_strictly(raw: bytes, append_us: int) -> Comment:
    """Read one record of topic ``comments``.

    Args:
        raw: the record's value, at most 1 MiB of UTF-8 JSON.
        append_us: broker append time in microseconds; event times more than five minutes later are refused.

    Returns:
        The comment.

    Raises:
        InvalidRecord: with the first ``DeadLetterReason`` that applies, in the order of that enum.
    """
    fields = _object(raw, _COMMENT_REQUIRED, _COMMENT_FIELDS)
    comment = Comment(
        _text(fields, "comment_id", 1, MAX_ID_CHARACTERS),
        _text(fields, "community", 1, MAX_ID_CHARACTERS),
        _text(fields, "body", 0, MAX_BODY_CHARACTERS),
        _time(fields, "event_time_us"),
        None if fields.get("author_key") is None else _text(fields, "author_key", 1, MAX_ID_CHARACTERS),
        None if fields.get("parent_id") is None else _text(fields, "parent_id", 1, MAX_ID_CHARACTERS),
    )
    if comment.event_time_us > append_us + MAX_FUTURE_US:
        ahead_s = (comment.event_time_us - append_us) // 1_000_000
        _refuse(DeadLetterReason.FUTURE_DATED, f"event_time_us lies {ahead_s} s after the append time")
    return comment


def _refuse(reason: DeadLetterReason, cause: str) -> NoReturn:
    raise InvalidRecord(reason, cause)


def _object(raw: bytes, required: tuple[str, ...], allowed: frozenset[str]) -> dict[str, Any]:
    if not raw or raw.isspace():
        _refuse(DeadLetterReason.EMPTY, "the record has no bytes but white space")
    if len(raw) > MAX_RECORD_BYTES:
        _refuse(DeadLetterReason.TOO_LARGE, f"{len(raw)} bytes; the limit is {MAX_RECORD_BYTES}")
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        _refuse(DeadLetterReason.NOT_JSON, str(error))
    if type(fields) is not dict:
        _refuse(DeadLetterReason.NOT_AN_OBJECT, f"a JSON object is expected, this is a {type(fields).__name__}")
    version = fields.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        _refuse(DeadLetterReason.SCHEMA_VERSION, f"schema_version must be {SCHEMA_VERSION}")
    for name in required:
        if name not in fields:
            _refuse(DeadLetterReason.MISSING_FIELD, f"{name} is missing")
    if not fields.keys() <= allowed:
        _refuse(DeadLetterReason.UNKNOWN_FIELD, f"unknown field {sorted(fields.keys() - allowed)[0][:80]!r}")
    return fields


def _text(fields: dict[str, Any], name: str, least: int, most: int) -> str:
    value = fields[name]
    if type(value) is not str:
        _refuse(DeadLetterReason.WRONG_TYPE, f"{name} must be a string")
    if not least <= len(value) <= most:
        _refuse(DeadLetterReason.OUT_OF_RANGE, f"{name} has {len(value)} characters; {least} to {most} are allowed")
    if "\0" in value:
        _refuse(DeadLetterReason.NUL_CHARACTER, f"{name} holds a NUL character")
    return value


def _time(fields: dict[str, Any], name: str) -> int:
    value = fields[name]
    if type(value) is not int:
        _refuse(DeadLetterReason.WRONG_TYPE, f"{name} must be an integer of microseconds")
    if not 0 <= value <= MAX_TIME_US:
        _refuse(DeadLetterReason.OUT_OF_RANGE, f"{name} must lie between 1970 and 9999")
    return value
