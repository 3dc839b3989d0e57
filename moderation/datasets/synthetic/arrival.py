"""Generated records with their arrival times."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Injection(StrEnum):
    """Faults that are injected into records."""

    LATE = "late"
    DUPLICATE = "duplicate"
    EDITED = "edited"
    BROKEN = "broken"
    FUTURE_DATED = "future_dated"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record and its arrival time at the broker.

    Attributes:
        arrival_us: append time, microseconds since the epoch, UTC.
        topic: topic of the record.
        key: the record's key, the ``comment_id``.
        value: the record's value; wire JSON, except for broken ones.
        injected: the injected fault; None for an ordinary record. Of a duplicated or edited comment the first record is
            ordinary, the second has the fault.
        label: True if moderators will remove the comment; None for actions, and for broken and future-dated
            records, which never become comments.
    """

    arrival_us: int
    topic: Literal["comments", "actions"]
    key: str
    value: bytes
    injected: Injection | None
    label: bool | None
