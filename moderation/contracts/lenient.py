"""Rules version 2: read every record with an id, a text and a plausible time; record the repairs.

Well-formed records take one call of orjson. Other records are repaired as bytes first, in time linear in their length.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from typing import Any, NoReturn

import orjson

from moderation.contracts.records import (
    EARLIEST_EVENT_US,
    MAX_BODY_CHARACTERS,
    MAX_FUTURE_US,
    MAX_ID_CHARACTERS,
    MAX_REASON_CHARACTERS,
    MAX_RECORD_BYTES,
    MAX_TIME_US,
    SCHEMA_VERSION,
    UNKNOWN_COMMUNITY,
    Action,
    ActionKind,
    Comment,
    DeadLetterReason,
    Repair,
)
from moderation.contracts.rules import Read
from moderation.errors import InvalidRecord

_FIELDS = frozenset(("schema_version", "comment_id", "community", "body", "event_time_us", "author_key", "parent_id"))
_ORDER = {repair: index for index, repair in enumerate(Repair)}
_REPLACEMENT = "\ufffd"
# One escape of a JSON string. Matching from left to right treats an escaped backslash as one escape.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_FRAME_BYTES = 5
_UNITS = ((1_000, "milliseconds"), (1_000_000, "seconds"))


def read_leniently(raw: bytes, append_us: int, earliest_event_us: int) -> Read:
    """Read one record of topic ``comments``.

    Args:
        raw: the record's value, at most 1 MiB of JSON.
        append_us: broker append time in microseconds; event times more than five minutes later are refused.
        earliest_event_us: event times before this are refused.

    Raises:
        InvalidRecord: with the first ``DeadLetterReason`` that applies.
    """
    fields, repairs = _object(raw)
    comment_id = _text(fields, "comment_id", 1, MAX_ID_CHARACTERS, repairs)
    body = _string(fields, "body", repairs)
    if len(body) > MAX_BODY_CHARACTERS:
        body = body[:MAX_BODY_CHARACTERS]
        repairs.append(Repair.CUT)
    comment = Comment(
        comment_id,
        _community(fields, repairs),
        body,
        _event_time(fields, append_us, earliest_event_us),
        _optional(fields, "author_key", repairs),
        _optional(fields, "parent_id", repairs),
    )
    ignored = 0 if fields.keys() <= _FIELDS else len(fields.keys() - _FIELDS)
    if not repairs:
        return Read(comment, (), ignored)
    return Read(comment, tuple(sorted(set(repairs), key=_ORDER.__getitem__)), ignored)


def read_action(raw: bytes) -> Action:
    """Read one record of topic ``actions``; texts are repaired and unknown fields ignored as for comments.

    Comment, kind, moderator, time and inclusion probability are required. A reason that is missing or not a string is
    read as empty.

    Args:
        raw: the record's value, at most 1 MiB of JSON.

    Raises:
        InvalidRecord: with the first ``DeadLetterReason`` that applies.
    """
    fields, repairs = _object(raw)
    kind = _text(fields, "kind", 1, MAX_ID_CHARACTERS, repairs)
    if kind not in list(ActionKind):
        _refuse(DeadLetterReason.OUT_OF_RANGE, f"kind must be one of {', '.join(ActionKind)}")
    probability = _field(fields, "inclusion_probability")
    if type(probability) not in (int, float):
        _refuse(DeadLetterReason.WRONG_TYPE, "inclusion_probability must be a number")
    if not 0 < probability <= 1:
        _refuse(DeadLetterReason.OUT_OF_RANGE, "inclusion_probability must be above 0 and at most 1")
    return Action(
        comment_id=_text(fields, "comment_id", 1, MAX_ID_CHARACTERS, repairs),
        kind=ActionKind(kind),
        moderator_key=_text(fields, "moderator_key", 1, MAX_ID_CHARACTERS, repairs),
        reason=_reason(fields, repairs),
        action_time_us=_action_time(fields),
        inclusion_probability=float(probability),
    )


def _reason(fields: dict[str, Any], repairs: list[Repair]) -> str:
    value = fields.get("reason")
    return _without_nul(value, repairs)[:MAX_REASON_CHARACTERS] if type(value) is str else ""


def _action_time(fields: dict[str, Any]) -> int:
    value = _time(fields, "action_time_us")
    if value < EARLIEST_EVENT_US and (guess := _unit(value, EARLIEST_EVENT_US, MAX_TIME_US, _UNITS)):
        _refuse(DeadLetterReason.PAST_DATED, f"action_time_us {value} is before {EARLIEST_EVENT_US}{guess}")
    return value


def _object(raw: bytes) -> tuple[dict[str, Any], list[Repair]]:
    repairs: list[Repair] = []
    if len(raw) > MAX_RECORD_BYTES:
        _refuse(DeadLetterReason.TOO_LARGE, f"{len(raw)} bytes; the limit is {MAX_RECORD_BYTES}")
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError:
        fields = _loads_repaired(raw, repairs)
    if type(fields) is not dict:
        _refuse(DeadLetterReason.NOT_AN_OBJECT, f"a JSON object is expected, this is a {type(fields).__name__}")
    version = fields.get("schema_version")
    if version is not None and (type(version) is not int or version != SCHEMA_VERSION):
        _refuse(DeadLetterReason.SCHEMA_VERSION, f"schema_version must be {SCHEMA_VERSION} or absent")
    return fields, repairs


def _loads_repaired(whole: bytes, repairs: list[Repair]) -> Any:
    raw = whole
    if raw.startswith(codecs.BOM_UTF8):
        raw = raw[len(codecs.BOM_UTF8) :]
        repairs.append(Repair.BYTE_ORDER_MARK)
    if not raw or raw.isspace():
        _refuse(DeadLetterReason.EMPTY, "the record has no bytes but white space")
    try:
        raw.decode()
    except UnicodeDecodeError:
        raw = raw.decode(errors="replace").encode()
        repairs.append(Repair.INVALID_UTF8)
    raw, lone = _without_lone_surrogates(raw)
    if lone:
        repairs.append(Repair.SURROGATE)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        _refuse(DeadLetterReason.NOT_JSON, _looks_like(whole) or str(error))


def _without_lone_surrogates(raw: bytes) -> tuple[bytes, int]:
    """Replace escaped surrogates without a counterpart by U+FFFD; return the bytes and the number of replacements."""
    lone = 0

    def replaced(match: re.Match[bytes]) -> bytes:
        nonlocal lone
        if match[1] is None:
            return match[0]
        lone += 1
        return rb"\ufffd"

    return _ESCAPE.sub(replaced, raw), lone


def _looks_like(raw: bytes) -> str:
    if raw[:1] == b"\0" and len(raw) > _FRAME_BYTES:
        number = int.from_bytes(raw[1:_FRAME_BYTES], "big")
        return f"it looks like a schema registry frame (schema id {number}); plain JSON is expected"
    if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or raw[:2] in (b"{\0", b"\0{"):
        return "it looks like UTF-16; UTF-8 is expected"
    return ""


def _field(fields: dict[str, Any], name: str) -> Any:
    if name not in fields:
        _refuse(DeadLetterReason.MISSING_FIELD, f"{name} is missing")
    return fields[name]


def _string(fields: dict[str, Any], name: str, repairs: list[Repair]) -> str:
    value = _field(fields, name)
    if type(value) is not str:
        _refuse(DeadLetterReason.WRONG_TYPE, f"{name} must be a string")
    return _without_nul(value, repairs)


def _without_nul(value: str, repairs: list[Repair]) -> str:
    if "\0" not in value:
        return value
    repairs.append(Repair.NUL)
    return value.replace("\0", _REPLACEMENT)


def _text(fields: dict[str, Any], name: str, least: int, most: int, repairs: list[Repair]) -> str:
    value = _string(fields, name, repairs)
    if not least <= len(value) <= most:
        _refuse(DeadLetterReason.OUT_OF_RANGE, f"{name} has {len(value)} characters; {least} to {most} are allowed")
    return value


def _community(fields: dict[str, Any], repairs: list[Repair]) -> str:
    value = fields.get("community")
    if type(value) is str and 1 <= len(value) <= MAX_ID_CHARACTERS:
        return _without_nul(value, repairs)
    repairs.append(Repair.COMMUNITY)
    return UNKNOWN_COMMUNITY


def _optional(fields: dict[str, Any], name: str, repairs: list[Repair]) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is str and 1 <= len(value) <= MAX_ID_CHARACTERS:
        return _without_nul(value, repairs)
    repairs.append(Repair.OPTIONAL_FIELD)
    return None


def _time(fields: dict[str, Any], name: str) -> int:
    value = _field(fields, name)
    if type(value) is not int:
        _refuse(DeadLetterReason.WRONG_TYPE, f"{name} must be an integer of microseconds")
    if not 0 <= value <= MAX_TIME_US:
        guess = "; it looks like nanoseconds" if value >= EARLIEST_EVENT_US * 1_000 else ""
        _refuse(DeadLetterReason.OUT_OF_RANGE, f"{name} must be microseconds of the years 1970 to 9999{guess}")
    return int(value)


def _event_time(fields: dict[str, Any], append_us: int, earliest_us: int) -> int:
    event_us = _time(fields, "event_time_us")
    latest_us = append_us + MAX_FUTURE_US
    if event_us > latest_us:
        ahead_s = (event_us - append_us) // 1_000_000
        _refuse(DeadLetterReason.FUTURE_DATED, f"event_time_us is {ahead_s} s after the append time")
    if event_us < earliest_us:
        guess = _unit(event_us, earliest_us, latest_us, _UNITS)
        _refuse(DeadLetterReason.PAST_DATED, f"event_time_us {event_us} is before {earliest_us}{guess}")
    return event_us


def _unit(value: int, earliest_us: int, latest_us: int, units: Iterable[tuple[int, str]]) -> str:
    for factor, name in units:
        if earliest_us <= value * factor <= latest_us:
            return f"; it looks like {name}, microseconds are expected"
    return ""


def _refuse(reason: DeadLetterReason, cause: str) -> NoReturn:
    raise InvalidRecord(reason, cause)
