"""Broken comment records, as faulty producers write them.

Records with one of ``BREAKAGES`` are refused. Those with one of ``REPAIRABLE`` still have an id, a text and a time:
they are decided, and the repair is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from moderation.contracts import MAX_BODY_CHARACTERS, Comment, to_json


def _with(**changes: Any) -> Callable[[Comment], bytes]:
    return lambda comment: orjson.dumps(_fields(comment) | changes)


def _without(name: str) -> Callable[[Comment], bytes]:
    return lambda comment: orjson.dumps({key: value for key, value in _fields(comment).items() if key != name})


def _fields(comment: Comment) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads(to_json(comment))
    return fields


def _spliced(raw_body: bytes) -> Callable[[Comment], bytes]:
    # Written by hand: no JSON library emits these.
    return lambda comment: orjson.dumps(_fields(comment) | {"body": "@"}).replace(b'"@"', raw_body, 1)


BREAKAGES: dict[str, Callable[[Comment], bytes]] = {
    "not JSON": lambda comment: comment.body.encode() or b"-",
    "missing field": _without("body"),
    "schema version 99": _with(schema_version=99),
    "empty": lambda comment: b"",
    "truncated JSON": lambda comment: to_json(comment)[: -1 - len(to_json(comment)) // 3],
    "body is a number": _with(body=42),
    "JSON array": lambda comment: b"[" + to_json(comment) + b"]",
    "time is a boolean": _with(event_time_us=True),
    "white space": lambda comment: b" \n",
    "time in seconds as text": lambda comment: orjson.dumps(
        _fields(comment) | {"event_time_us": str(comment.event_time_us // 1_000_000)}
    ),
    "time before 1970": _with(event_time_us=-1),
    "empty comment id": _with(comment_id=""),
    "schema version as text": _with(schema_version="1"),
    "JSON string": lambda comment: orjson.dumps(comment.body),
    "single quotes": lambda comment: str(_fields(comment)).encode(),
}
REPAIRABLE: dict[str, Callable[[Comment], bytes]] = {
    "body too long": lambda comment: orjson.dumps(
        _fields(comment) | {"body": "spam " * (MAX_BODY_CHARACTERS // 5 + 1)}
    ),
    "no schema version": _without("schema_version"),
    "NUL character": lambda comment: orjson.dumps(_fields(comment) | {"body": f"{comment.body}\0"}),
    "unknown field": _with(upvotes=7),
    "lone surrogate": _spliced(rb'"broken emoji \ud83d"'),
    "invalid UTF-8": _spliced(b'"caf\xe9"'),
    "author is an object": _with(author_key={"name": "someone"}),
}
