"""The rules of reading and of event time, restated for the oracle: record by record, over a partition's whole log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator

_MINUTE_US = 60_000_000
PANE_US = 5 * _MINUTE_US
LATENESS_US = 10 * _MINUTE_US
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MOST_CHARACTERS = 40_000
_MOST_ID_CHARACTERS = 256


def identity_of(value: bytes) -> tuple[bytes, bytes]:
    """What a comment's raw bytes say of it: its record id, and the digest of the columns a decision repeats.

    Raises:
        ValueError, KeyError, TypeError: the bytes are no comment's.
    """
    fields = json.loads(value.removeprefix(_BYTE_ORDER_MARK).decode(errors="replace"))
    comment_id, event_time_us = _repaired(fields["comment_id"]), fields["event_time_us"]
    body = _repaired(fields["body"])[:_MOST_CHARACTERS]
    record_id = hashlib.sha256(f"{comment_id}\0{event_time_us}\0{body}".encode()).digest()
    return record_id, columns_digest(comment_id, _community(fields.get("community")), event_time_us)


def _repaired(text: str) -> str:
    """What cannot be stored or is no character is replaced: NUL, halves of surrogate pairs."""
    return "".join("\ufffd" if each == "\0" or "\ud800" <= each <= "\udfff" else each for each in text)


def _community(named: object) -> str:
    return _repaired(named) if isinstance(named, str) and 1 <= len(named) <= _MOST_ID_CHARACTERS else "unknown"


def columns_digest(comment_id: str, community: str, event_time_us: int) -> bytes:
    """16 bytes for what panes and topics are made of; the record id alone does not say what a row's columns hold."""
    return hashlib.sha256(f"{comment_id}\0{community}\0{event_time_us}".encode()).digest()[:16]


def fates_of(log: Iterable[tuple[int, bytes]]) -> Iterator[str]:
    """The fates of one partition's accepted records, (event time, record id) in offset order."""
    newest_us: int | None = None
    counted: set[bytes] = set()
    for event_time_us, record_id in log:
        end_us = (event_time_us // PANE_US + 1) * PANE_US
        if newest_us is not None and end_us <= newest_us - LATENESS_US:
            yield "late"
        elif record_id in counted:
            yield "duplicate"
        else:
            counted.add(record_id)
            yield "counted"
        newest_us = event_time_us if newest_us is None else max(newest_us, event_time_us)
