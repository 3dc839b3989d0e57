from __future__ import annotations

import pytest

from moderation.contracts import Comment, DeadLetterReason, parse_record, to_json
from moderation.errors import InvalidRecord
from moderation.sources.generator.breakage import BREAKAGES

WHOLE = Comment("c1", "science", "Nice study, thanks.", 1_767_225_600_000_000, "u1", "c0")
REASONS = {
    "not JSON": DeadLetterReason.NOT_JSON,
    "missing field": DeadLetterReason.MISSING_FIELD,
    "schema version 99": DeadLetterReason.SCHEMA_VERSION,
    "empty": DeadLetterReason.EMPTY,
    "body too long": DeadLetterReason.OUT_OF_RANGE,
    "truncated JSON": DeadLetterReason.NOT_JSON,
    "body is a number": DeadLetterReason.WRONG_TYPE,
    "no schema version": DeadLetterReason.SCHEMA_VERSION,
    "JSON array": DeadLetterReason.NOT_AN_OBJECT,
    "NUL character": DeadLetterReason.NUL_CHARACTER,
    "unknown field": DeadLetterReason.UNKNOWN_FIELD,
    "lone surrogate": DeadLetterReason.NOT_JSON,
    "time is a boolean": DeadLetterReason.WRONG_TYPE,
    "white space": DeadLetterReason.EMPTY,
    "time in seconds as text": DeadLetterReason.WRONG_TYPE,
    "invalid UTF-8": DeadLetterReason.NOT_JSON,
    "time before 1970": DeadLetterReason.OUT_OF_RANGE,
    "empty comment id": DeadLetterReason.OUT_OF_RANGE,
    "schema version as text": DeadLetterReason.SCHEMA_VERSION,
    "JSON string": DeadLetterReason.NOT_AN_OBJECT,
    "single quotes": DeadLetterReason.NOT_JSON,
    "author is an object": DeadLetterReason.WRONG_TYPE,
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_every_breakage_is_refused_for_what_it_is(name: str) -> None:
    assert parse_record(to_json(WHOLE), WHOLE.event_time_us) == WHOLE
    with pytest.raises(InvalidRecord) as refused:
        parse_record(BREAKAGES[name](WHOLE), WHOLE.event_time_us)
    assert refused.value.reason == REASONS[name]


def test_there_are_many_ways_to_break_a_record_and_no_two_look_alike() -> None:
    assert len({broken(WHOLE) for broken in BREAKAGES.values()}) == len(BREAKAGES) >= 10
