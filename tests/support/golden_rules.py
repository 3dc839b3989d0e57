"""Records of every kind and their results by rules version: ``python -m tests.support.golden_rules`` writes the file.

The results of a rules version must never change. Write the file again only to add records or a version.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from moderation.contracts import FIRST_RULES, NEWEST_RULES, Comment, Rules, read_record, to_json
from moderation.contracts.records import MAX_BODY_CHARACTERS, MAX_FUTURE_US, MAX_ID_CHARACTERS, MAX_TIME_US
from moderation.datasets.synthetic.breakage import BREAKAGES, REPAIRABLE
from moderation.errors import InvalidRecord

FILE = Path(__file__).parent.parent / "unit" / "moderation" / "contracts" / "golden_rules.json"
APPEND_US = 1_700_000_000_000_000
_LONG = 2_000
VERSIONS: dict[str, Rules] = {"1": FIRST_RULES, "2": NEWEST_RULES}
WHOLE = Comment("c1", "science", "Nice study, “really” 👍.", APPEND_US - 1_000_000, "author", "parent")


def records() -> Iterator[tuple[str, bytes]]:
    """Return every record by name."""
    yield "whole", to_json(WHOLE)
    for name, broken in (BREAKAGES | REPAIRABLE).items():
        yield name, broken(WHOLE)
    fields = orjson.loads(to_json(WHOLE))
    for name, changes in _CHANGES.items():
        yield name, orjson.dumps({key: value for key, value in (fields | changes).items() if value != "absent"})
    text = to_json(WHOLE).decode()
    yield "byte order mark", b"\xef\xbb\xbf" + text.encode()
    yield "only a byte order mark", b"\xef\xbb\xbf"
    yield "UTF-16", text.encode("utf-16")
    yield "schema registry frame", b"\0\0\0\0\x2a" + text.encode()
    yield "surrogate pair", text.replace("👍", r"\ud83d\udc4d").encode()
    yield "surrogates in the wrong order", text.replace("👍", r"\udc4d\ud83d").encode()
    yield "escaped backslash before a surrogate's digits", text.replace("👍", r"\\ud83d").encode()
    yield "surrogate encoded as UTF-8", text.encode().replace("👍".encode(), b"\xed\xa0\xbd")
    yield "overlong encoding", text.encode().replace("👍".encode(), b"\xc0\xaf")
    yield "two bodies", text.replace('"body":', '"body":"first","body":', 1).encode()
    yield "number beyond 64 bits", text.replace(str(WHOLE.event_time_us), "9" * 30).encode()
    yield "not a number", text.replace(str(WHOLE.event_time_us), "NaN").encode()
    yield "trailing comma", text.replace("}", ",}").encode()
    yield "deeply nested", b"[" * 100_000
    yield "deeply nested unknown field", text.replace("}", ',"x":' + "[" * 500 + "]" * 500 + "}").encode()
    yield "raw line break in a string", text.replace("👍", "\n").encode()


_CHANGES: dict[str, dict[str, Any]] = {
    "body at the limit": {"body": "é" * MAX_BODY_CHARACTERS},
    "body beyond the limit, in wide characters": {"body": "👍" * (MAX_BODY_CHARACTERS + 1)},
    "empty body": {"body": ""},
    "body is null": {"body": None},
    "NUL in the id": {"comment_id": "a\0b"},
    "NUL everywhere": {"comment_id": "\0", "community": "\0", "body": "\0", "author_key": "\0"},
    "id at the limit": {"comment_id": "x" * MAX_ID_CHARACTERS},
    "id beyond the limit": {"comment_id": "x" * (MAX_ID_CHARACTERS + 1)},
    "no id": {"comment_id": "absent"},
    "no community": {"community": "absent"},
    "community is null": {"community": None},
    "community is a number": {"community": 7},
    "community beyond the limit": {"community": "x" * (MAX_ID_CHARACTERS + 1)},
    "empty author": {"author_key": ""},
    "parent is a number": {"parent_id": 7},
    "null schema version": {"schema_version": None},
    "schema version is a boolean": {"schema_version": True},
    "schema version is a float": {"schema_version": 1.0},
    "many unknown fields": {f"field{number}": number for number in range(40)},
    "time at the future limit": {"event_time_us": APPEND_US + MAX_FUTURE_US},
    "time beyond the future limit": {"event_time_us": APPEND_US + MAX_FUTURE_US + 1},
    "time in seconds": {"event_time_us": APPEND_US // 1_000_000},
    "time in milliseconds": {"event_time_us": APPEND_US // 1_000},
    "time in nanoseconds": {"event_time_us": APPEND_US * 1_000},
    "time at the earliest": {"event_time_us": 946_684_800_000_000},
    "time before the earliest": {"event_time_us": 946_684_799_999_999},
    "time beyond the year 9999": {"event_time_us": MAX_TIME_US + 1},
    "time is a float": {"event_time_us": 1.5},
    "no time": {"event_time_us": "absent"},
}


def outcome(raw: bytes, rules: Rules) -> dict[str, Any]:
    """Return the result of the rules: a comment with its repairs, or a reason and its detail."""
    try:
        read = read_record(raw, APPEND_US, rules)
    except InvalidRecord as error:
        return {"reason": error.reason, "detail": error.cause}
    comment = {name: _short(value) for name, value in orjson.loads(to_json(read.comment)).items()}
    found = {"comment": comment, "record_id": read.comment.record_id().hex(), "repairs": list(read.repairs)}
    return found | {"ignored": read.ignored}


def _short(value: Any) -> Any:
    """Return the value, or length and SHA-256 of a long text."""
    if not isinstance(value, str) or len(value) <= _LONG:
        return value
    return {"length": len(value), "sha256": hashlib.sha256(value.encode()).hexdigest()}


def rendered() -> str:
    """Return the text of the file."""
    found = {
        name: {
            "raw": _short(base64.b64encode(raw).decode()),
            **{version: outcome(raw, rules) for version, rules in VERSIONS.items()},
        }
        for name, raw in records()
    }
    return json.dumps(found, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(rendered())
