"""Record types of the topics: comment, decision, action, pane, dead letter, and the values of their fields.

Units: ``*_us`` are integer microseconds since the epoch, UTC; ``score_ppm`` is an integer in parts per million.
The JSON Schemas in ``contracts/schemas`` are generated from these classes; ``parse.py`` enforces the same limits
on the hot path without a validation library.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

SCHEMA_VERSION: Literal[1] = 1
MAX_BODY_CHARACTERS = 40_000
MAX_RECORD_BYTES = 1024 * 1024
MAX_ID_CHARACTERS = 256
MAX_REASON_CHARACTERS = 1_000
MAX_TIME_US = 253_402_300_799_999_999  # the last microsecond of the year 9999
MAX_FUTURE_US = 5 * 60 * 1_000_000
EARLIEST_EVENT_US = 946_684_800_000_000  # 2000-01-01
UNKNOWN_COMMUNITY = "unknown"
"""Community of a comment whose record names none."""
RAW_KEPT_BYTES = 64 * 1024
REPLAY_OF = "replay_of"
"""Kafka header of a replay: position of the dead letter, ``topic id/partition/offset`` in ASCII."""
REPUBLISHED = "republished"
"""Kafka header, value ``1``, of a record of a published topic that was republished from the ledger."""

# PostgreSQL's type text cannot store a NUL character.
_NO_NUL = r"^[^\u0000]*$"
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS, pattern=_NO_NUL)]
Body = Annotated[str, Field(max_length=MAX_BODY_CHARACTERS, pattern=_NO_NUL)]
Reason = Annotated[str, Field(max_length=MAX_REASON_CHARACTERS, pattern=_NO_NUL)]
TimeUs = Annotated[int, Field(ge=0, le=MAX_TIME_US)]
ScorePpm = Annotated[int, Field(ge=0, le=1_000_000)]


class Verdict(StrEnum):
    """What the policy makes of a score."""

    ALLOW = "allow"
    REVIEW = "review"
    REMOVE = "remove"


class Fate(StrEnum):
    """How a decision entered the panes."""

    COUNTED = "counted"
    LATE = "late"
    DUPLICATE = "duplicate"


class Repair(StrEnum):
    """What had to be changed to read a record, in the order in which it is listed with the decision.

    ``invalid_utf8``, ``surrogate`` and ``nul``: replaced by U+FFFD; ``cut``: the body was longer than 40,000
    characters. The text that is scored is not the text that readers see, so the verdict is at least ``review``.
    ``byte_order_mark``: dropped; ``community``: the record names none, it is ``unknown``; ``optional_field``:
    author_key or parent_id cannot be used and is left out. These change no verdict.
    """

    INVALID_UTF8 = "invalid_utf8"
    SURROGATE = "surrogate"
    NUL = "nul"
    CUT = "cut"
    BYTE_ORDER_MARK = "byte_order_mark"
    COMMUNITY = "community"
    OPTIONAL_FIELD = "optional_field"

    @property
    def changes_text(self) -> bool:
        """Whether text was replaced or cut, so that a moderator must review the comment."""
        return self in (Repair.INVALID_UTF8, Repair.SURROGATE, Repair.NUL, Repair.CUT)


class Cause(StrEnum):
    """Causes of differences between lake and ledger.

    Up to ``unexplained`` they explain different contributions of a row to batch and speed layer, in order of
    precedence. The others name differences in what is not counted; a row may have several of them, and one of the
    first.
    """

    UNARCHIVED = "unarchived"
    UNPROCESSED = "unprocessed"
    QUARANTINED = "quarantined"
    LOST = "lost"
    PHANTOM = "phantom"
    WRONG_LETTER = "wrong_letter"
    RECOVERED = "recovered"
    LATE = "late"
    DUPLICATE = "duplicate"
    OTHER_MODEL = "other_model"
    POLICY = "policy"
    RESCORED = "rescored"
    UNEXPLAINED = "unexplained"
    OTHER_ID = "other_id"
    OTHER_TIME = "other_time"
    OTHER_REASONS = "other_reasons"
    MISSING_LETTER = "missing_letter"
    PHANTOM_LETTER = "phantom_letter"

    @property
    def is_defect(self) -> bool:
        """Whether a row with this cause means that a guarantee is broken."""
        return self not in _EXPECTED


_EXPECTED = frozenset(
    {
        *(Cause.UNARCHIVED, Cause.UNPROCESSED, Cause.QUARANTINED, Cause.RECOVERED),
        *(Cause.LATE, Cause.DUPLICATE),
    }
)


class ActionKind(StrEnum):
    """What a human did with a comment."""

    REMOVE = "remove"
    APPROVE = "approve"


class DeadLetterReason(StrEnum):
    """Why a record has no decision. Stable: dashboards and replays select by it.

    All but the last say why it cannot be a comment (or an action). ``processing_failed``: it can be read, but deciding
    or storing it fails; it is in quarantine. ``unknown_field`` and ``nul_character`` come from rules version 1 only.
    """

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    SCHEMA_VERSION = "schema_version"
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    NUL_CHARACTER = "nul_character"
    FUTURE_DATED = "future_dated"
    PAST_DATED = "past_dated"
    PROCESSING_FAILED = "processing_failed"


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment record as it arrives on topic ``comments``. Another text or time is an edit: another record."""

    comment_id: Id
    community: Id
    body: Body
    event_time_us: TimeUs
    author_key: Id | None = None
    parent_id: Id | None = None
    schema_version: Literal[1] = SCHEMA_VERSION

    def record_id(self) -> bytes:
        """SHA-256 (32 bytes) over comment_id, event_time_us and body, separated by NUL, which ids cannot contain."""
        parts = f"{self.comment_id}\0{self.event_time_us}\0{self.body}"
        return hashlib.sha256(parts.encode()).digest()


@dataclass(frozen=True, slots=True)
class Action:
    """What a human did with a comment: who, why, when, and how likely the comment was to be looked at.

    ``inclusion_probability`` lies in (0, 1] and is never defaulted: training weighs by its inverse.
    """

    comment_id: Id
    kind: ActionKind
    moderator_key: Id
    reason: Reason
    action_time_us: TimeUs
    inclusion_probability: Annotated[float, Field(gt=0, le=1)]
    schema_version: Literal[1] = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one comment record, keyed by (topic, topic_id, partition, offset).

    ``inclusion_ppm`` is the probability that the policy gives it verdict ``review``, in parts per million; None if the
    policy does not explore.
    """

    topic: Id
    topic_id: Id
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]
    comment_id: Id
    community: Id
    event_time_us: TimeUs
    score_ppm: ScorePpm
    verdict: Verdict
    model_version: Id
    policy_version: Id
    fate: Fate
    repairs: list[Repair] = field(default_factory=list)
    schema_version: Literal[1] = SCHEMA_VERSION
    inclusion_ppm: ScorePpm | None = None


@dataclass(frozen=True, slots=True)
class Pane:
    """What a partition counted in one pane, published once the pane is closed and never changed after.

    Half-open in event time: [start_us, end_us). ``score_sum`` is the sum of ``score_ppm`` over the comments.
    """

    topic: Id
    topic_id: Id
    partition: Annotated[int, Field(ge=0)]
    community: Id
    start_us: TimeUs
    end_us: TimeUs
    model_version: Id
    policy_version: Id
    comments: Annotated[int, Field(ge=1)]
    reviews: Annotated[int, Field(ge=0)]
    removals: Annotated[int, Field(ge=0)]
    score_sum: Annotated[int, Field(ge=0)]
    schema_version: Literal[1] = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that cannot be a comment: why, and enough of it to find and replay it.

    ``raw`` holds the first 64 KiB (base64 in JSON); length and SHA-256 are of the whole record.
    """

    reason: DeadLetterReason
    detail: str
    raw: Annotated[bytes, Field(max_length=RAW_KEPT_BYTES)]
    raw_length: Annotated[int, Field(ge=0)]
    raw_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    append_us: TimeUs
    schema_version: Literal[1] = SCHEMA_VERSION
