"""The law of event time, restated in the oracle's own words: record by record, over a partition's whole log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator

_MINUTE_US = 60_000_000
PANE_US = 5 * _MINUTE_US
LATENESS_US = 10 * _MINUTE_US


def identity_of(value: bytes) -> bytes:
    """The record id of a comment's raw bytes: SHA-256 over id, event time and body."""
    fields = json.loads(value)
    return hashlib.sha256(f"{fields['comment_id']}\0{fields['event_time_us']}\0{fields['body']}".encode()).digest()


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
