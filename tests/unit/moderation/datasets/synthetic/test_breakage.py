from __future__ import annotations

import pytest

from moderation.contracts import FIRST_RULES, Comment, DeadLetterReason, parse_record, to_json
from moderation.datasets.synthetic.breakage import BREAKAGES, REPAIRABLE
from moderation.errors import InvalidRecord

WHOLE = Comment("c1", "science", "Nice study, thanks.", 1_767_225_600_000_000, "u1", "c0")
REASONS = {
    "not JSON": DeadLetterReason.NOT_JSON,
    "missing field": DeadLetterReason.MISSING_FIELD,
    "schema version 99": DeadLetterReason.SCHEMA_VERSION,
    "empty": DeadLetterReason.EMPTY,
    "truncated JSON": DeadLetterReason.NOT_JSON,
    "body is a number": DeadLetterReason.WRONG_TYPE,
    "JSON array": DeadLetterReason.NOT_AN_OBJECT,
    "time is a boolean": DeadLetterReason.WRONG_TYPE,
    "white space": DeadLetterReason.EMPTY,
    "time in seconds as text": DeadLetterReason.WRONG_TYPE,
    "time before 1970": DeadLetterReason.OUT_OF_RANGE,
    "empty comment id": DeadLetterReason.OUT_OF_RANGE,
    "schema version as text": DeadLetterReason.SCHEMA_VERSION,
    "JSON string": DeadLetterReason.NOT_AN_OBJECT,
    "single quotes": DeadLetterReason.NOT_JSON,
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_every_breakage_is_refused_for_what_it_is(name: str) -> None:
    assert parse_record(to_json(WHOLE), WHOLE.event_time_us) == WHOLE
    with pytest.raises(InvalidRecord) as refused:
        parse_record(BREAKAGES[name](WHOLE), WHOLE.event_time_us)
    assert refused.value.reason == REASONS[name]


@pytest.mark.parametrize("name", REPAIRABLE)
def test_what_can_be_repaired_is_read_and_the_first_rules_refuse_it(name: str) -> None:
    raw = REPAIRABLE[name](WHOLE)
    assert parse_record(raw, WHOLE.event_time_us).comment_id == WHOLE.comment_id
    with pytest.raises(InvalidRecord):
        parse_record(raw, WHOLE.event_time_us, FIRST_RULES)


def test_breakages_are_many_and_distinct() -> None:
    assert len({broken(WHOLE) for broken in BREAKAGES.values()}) == len(BREAKAGES) >= 10
