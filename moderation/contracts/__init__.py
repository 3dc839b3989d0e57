"""The contracts: what travels between the parts, and the one strict parser. See ``records`` for the nouns."""

from moderation.contracts.holes import Hole, HoleKind, clipped, merged, without_compaction
from moderation.contracts.parse import dead_letter, parse_action, parse_record, quarantined, to_json
from moderation.contracts.records import (
    MAX_BODY_CHARACTERS,
    MAX_FUTURE_US,
    MAX_RECORD_BYTES,
    REPLAY_OF,
    SCHEMA_VERSION,
    Action,
    ActionKind,
    Cause,
    Comment,
    DeadLetter,
    DeadLetterReason,
    Decision,
    Fate,
    Pane,
    Verdict,
)

__all__ = [
    "MAX_BODY_CHARACTERS",
    "MAX_FUTURE_US",
    "MAX_RECORD_BYTES",
    "REPLAY_OF",
    "SCHEMA_VERSION",
    "Action",
    "ActionKind",
    "Cause",
    "Comment",
    "DeadLetter",
    "DeadLetterReason",
    "Decision",
    "Fate",
    "Hole",
    "HoleKind",
    "Pane",
    "Verdict",
    "clipped",
    "dead_letter",
    "merged",
    "parse_action",
    "parse_record",
    "quarantined",
    "to_json",
    "without_compaction",
]
