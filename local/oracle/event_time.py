"""Reading and event-time rules of the oracle, applied record by record to the whole log of a partition."""

from __future__ import annotations

import hashlib
import json

_MINUTE_US = 60_000_000
PANE_US = 5 * _MINUTE_US
LATENESS_US = 10 * _MINUTE_US
STEP_US = 60 * _MINUTE_US
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MOST_CHARACTERS = 40_000
_MOST_ID_CHARACTERS = 256


def identity_of(value: bytes) -> tuple[bytes, bytes]:
    """Return the record id of a comment's raw bytes, and the digest of the columns that a decision repeats.

    Raises:
        ValueError, KeyError, TypeError: the bytes are not a comment.
    """
    fields = json.loads(value.removeprefix(_BYTE_ORDER_MARK).decode(errors="replace"))
    comment_id, event_time_us = _repaired(fields["comment_id"]), fields["event_time_us"]
    body = _repaired(fields["body"])[:_MOST_CHARACTERS]
    record_id = hashlib.sha256(f"{comment_id}\0{event_time_us}\0{body}".encode()).digest()
    return record_id, columns_digest(comment_id, _community(fields.get("community")), event_time_us)


def _repaired(text: str) -> str:
    """Replace what cannot be stored or is not a character: NUL, unpaired surrogates."""
    return "".join("\ufffd" if each == "\0" or "\ud800" <= each <= "\udfff" else each for each in text)


def _community(named: object) -> str:
    return _repaired(named) if isinstance(named, str) and 1 <= len(named) <= _MOST_ID_CHARACTERS else "unknown"


def columns_digest(comment_id: str, community: str, event_time_us: int) -> bytes:
    """Return a digest, 16 bytes, of the columns that panes and topics use; the record id does not cover them."""
    return hashlib.sha256(f"{comment_id}\0{community}\0{event_time_us}".encode()).digest()[:16]


class PartitionClock:
    """Event-time state of one partition: assigns fates record by record.

    Attributes:
        newest_us: the largest event time that moves the watermark; None before the first record.
        candidate: event time and comment id of a record more than an hour ahead that is not confirmed.
    """

    def __init__(self) -> None:
        self.newest_us: int | None = None
        self.candidate: tuple[int, str] | None = None
        self._counted: set[bytes] = set()

    def reset(self, newest_us: int) -> None:
        """Reset the watermark, as an operator's command does."""
        self.newest_us, self.candidate = newest_us, None

    def fate(self, event_time_us: int, record_id: bytes, comment_id: str, rules_version: int) -> str:
        """Return the fate of the next accepted record."""
        end_us = (event_time_us // PANE_US + 1) * PANE_US
        if self.newest_us is not None and end_us <= self.newest_us - LATENESS_US:
            fate = "late"
        elif record_id in self._counted:
            fate = "duplicate"
        else:
            self._counted.add(record_id)
            fate = "counted"
        self._move(event_time_us, comment_id, rules_version)
        return fate

    def _move(self, event_time_us: int, comment_id: str, rules_version: int) -> None:
        if self.newest_us is None or rules_version == 1:
            self.newest_us = max(event_time_us, event_time_us if self.newest_us is None else self.newest_us)
            return
        self._drop_near()
        if event_time_us <= self.newest_us + STEP_US:
            self.newest_us = max(self.newest_us, event_time_us)
            self._drop_near()
        elif self.candidate is None:
            self.candidate = event_time_us, comment_id
        elif self.candidate[1] == comment_id:
            self.candidate = min(self.candidate, (event_time_us, comment_id))
        else:
            lower, upper = sorted([self.candidate, (event_time_us, comment_id)])
            self.newest_us, self.candidate = lower[0], upper
            if upper[0] <= lower[0] + STEP_US:
                self.newest_us, self.candidate = upper[0], None

    def _drop_near(self) -> None:
        if self.candidate is not None and self.newest_us is not None and self.candidate[0] <= self.newest_us + STEP_US:
            self.candidate = None
