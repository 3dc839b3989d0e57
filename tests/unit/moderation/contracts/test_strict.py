"""Rules version 1: refused records and reasons. It is frozen: days that it decided are recomputed with it."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.contracts import (
    MAX_BODY_CHARACTERS,
    MAX_FUTURE_US,
    MAX_RECORD_BYTES,
    Comment,
    DeadLetterReason,
    to_json,
)
from moderation.contracts.records import MAX_ID_CHARACTERS, MAX_TIME_US
from moderation.contracts.strict import read_strictly
from moderation.errors import InvalidRecord

NOW_US = 1_700_000_000_000_000
R = DeadLetterReason

no_nul = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
ids = st.text(no_nul, min_size=1, max_size=MAX_ID_CHARACTERS)
comments = st.builds(
    Comment,
    comment_id=ids,
    community=ids,
    body=st.text(no_nul, max_size=300),
    event_time_us=st.integers(0, NOW_US + MAX_FUTURE_US),
    author_key=st.none() | ids,
    parent_id=st.none() | ids,
)


def record(**changes: object) -> bytes:
    fields = {
        "schema_version": 1,
        "comment_id": "c1",
        "community": "science",
        "body": "Nice study.",
        "event_time_us": NOW_US,
    }
    return orjson.dumps({name: value for name, value in {**fields, **changes}.items() if value != "absent"})


def reason_of(raw: bytes, append_us: int = NOW_US) -> str:
    with pytest.raises(InvalidRecord) as refused:
        read_strictly(raw, append_us)
    return refused.value.reason


@given(comments)
def test_a_written_comment_parses_back_to_an_equal_one(comment: Comment) -> None:
    assert read_strictly(to_json(comment), NOW_US) == comment


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", R.EMPTY),
        (b" \t\r\n ", R.EMPTY),
        (b"x" * (MAX_RECORD_BYTES + 1), R.TOO_LARGE),
        (b"not json", R.NOT_JSON),
        (record()[:-1], R.NOT_JSON),
        (b"\x00\x00", R.NOT_JSON),
        (b"\xff\xfe{}", R.NOT_JSON),
        (b"[" * 100_000, R.NOT_JSON),
        (b'{"body": "\\ud800"}', R.NOT_JSON),
        (b'{"event_time_us": 1e999}', R.NOT_JSON),
        (b"[]", R.NOT_AN_OBJECT),
        (b"null", R.NOT_AN_OBJECT),
        (b"7", R.NOT_AN_OBJECT),
        (record(schema_version="absent"), R.SCHEMA_VERSION),
        (record(schema_version=2), R.SCHEMA_VERSION),
        (record(schema_version="1"), R.SCHEMA_VERSION),
        (record(schema_version=True), R.SCHEMA_VERSION),
        (record(schema_version=1.0), R.SCHEMA_VERSION),
        (record(comment_id="absent"), R.MISSING_FIELD),
        (record(community="absent"), R.MISSING_FIELD),
        (record(body="absent"), R.MISSING_FIELD),
        (record(event_time_us="absent"), R.MISSING_FIELD),
        (record(score=3), R.UNKNOWN_FIELD),
        (record(comment_id=7), R.WRONG_TYPE),
        (record(body=None), R.WRONG_TYPE),
        (record(body=["a"]), R.WRONG_TYPE),
        (record(event_time_us="1700000000000000"), R.WRONG_TYPE),
        (record(event_time_us=1.5), R.WRONG_TYPE),
        (record(event_time_us=True), R.WRONG_TYPE),
        (record().replace(str(NOW_US).encode(), b"9" * 30), R.WRONG_TYPE),
        (record(author_key=5), R.WRONG_TYPE),
        (record(comment_id=""), R.OUT_OF_RANGE),
        (record(community="x" * (MAX_ID_CHARACTERS + 1)), R.OUT_OF_RANGE),
        (record(parent_id=""), R.OUT_OF_RANGE),
        (record(body="x" * (MAX_BODY_CHARACTERS + 1)), R.OUT_OF_RANGE),
        (record(event_time_us=-1), R.OUT_OF_RANGE),
        (record(event_time_us=MAX_TIME_US + 1), R.OUT_OF_RANGE),
        (record(comment_id="a\0b"), R.NUL_CHARACTER),
        (record(body="a\0b"), R.NUL_CHARACTER),
        (record(event_time_us=NOW_US + MAX_FUTURE_US + 1), R.FUTURE_DATED),
    ],
)
def test_malformed_comments_are_refused_with_their_reason(raw: bytes, reason: DeadLetterReason) -> None:
    assert reason_of(raw) == reason


def test_limits_themselves_are_accepted(comment: Callable[..., Comment]) -> None:
    at_limit = comment(
        comment_id="x" * MAX_ID_CHARACTERS, body="é" * MAX_BODY_CHARACTERS, event_time_us=NOW_US + MAX_FUTURE_US
    )
    assert read_strictly(to_json(at_limit), NOW_US) == at_limit
    assert read_strictly(record(body=""), NOW_US).body == ""


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        read_strictly(raw, NOW_US)
    except InvalidRecord as refused:
        assert refused.reason in list(DeadLetterReason)
