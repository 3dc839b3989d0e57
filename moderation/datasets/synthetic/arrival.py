"""One record on its way to the broker."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Injection(StrEnum):
    """What was done to a record on purpose."""

    LATE = "late"
    DUPLICATE = "duplicate"
    EDITED = "edited"
    BROKEN = "broken"
    FUTURE_DATED = "future_dated"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record and the instant it reaches the broker.

    Attributes:
        arrival_us: append time, microseconds since the epoch, UTC.
        topic: the topic it is for.
        key: the record's key, the ``comment_id``.
        value: the record's value; wire JSON, except for broken ones.
        injected: what was done to it; None for an ordinary record. Of a duplicated or edited comment the first
            record is ordinary, the second is the injected one.
        label: True when moderators will remove the comment; None for actions, and for broken and future-dated
            records, which never become comments.
    """

    arrival_us: int
    topic: Literal["comments", "actions"]
    key: str
    value: bytes
    injected: Injection | None
    label: bool | None
