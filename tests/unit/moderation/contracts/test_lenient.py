"""Rules version 2: records with an id, a text and a plausible time are read, and every repair is recorded."""

from __future__ import annotations

import json
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.contracts import (
    EARLIEST_EVENT_US,
    FIRST_RULES,
    MAX_BODY_CHARACTERS,
    MAX_FUTURE_US,
    MAX_RECORD_BYTES,
    Action,
    ActionKind,
    Comment,
    DeadLetterReason,
    Repair,
    Rules,
    parse_action,
    parse_record,
    read_record,
    to_json,
)
from moderation.contracts.records import MAX_ID_CHARACTERS, MAX_TIME_US
from moderation.errors import InvalidRecord

NOW_US = 1_700_000_000_000_000
R = DeadLetterReason
any_text = st.text(st.characters(exclude_categories=["Cs"]))
with_surrogates = st.text(st.characters())


def record(**changes: object) -> bytes:
    fields = {"comment_id": "c1", "community": "science", "body": "Nice study.", "event_time_us": NOW_US}
    return json.dumps({name: value for name, value in {**fields, **changes}.items() if value != "absent"}).encode()


@given(st.binary(max_size=300) | any_text.map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        parse_record(raw, NOW_US)
    except InvalidRecord as refused:
        assert refused.reason in list(DeadLetterReason)


@given(st.binary(max_size=200))
def test_any_bytes_in_a_body_are_decided(body: bytes) -> None:
    """Quotes, backslashes and control characters break a JSON string; any other byte must not prevent a decision."""
    clean = bytes(byte for byte in body if byte >= 32 and byte not in b'"\\')
    read = read_record(record(body="@").replace(b"@", clean), NOW_US)
    assert read.comment.body == clean.decode(errors="replace")
    assert (Repair.INVALID_UTF8 in read.repairs) == (clean.decode(errors="ignore").encode() != clean)


@given(with_surrogates)
def test_a_lone_surrogate_is_replaced_and_a_pair_is_not(body: str) -> None:
    read = read_record(record(body=body), NOW_US)
    whole = json.loads(json.dumps(body))  # adjacent surrogates form one character
    expected = "".join("\ufffd" if "\ud800" <= each <= "\udfff" or each == "\0" else each for each in whole)
    assert read.comment.body == expected
    assert (Repair.SURROGATE in read.repairs) == any("\ud800" <= each <= "\udfff" for each in whole)
    assert (Repair.NUL in read.repairs) == ("\0" in whole)
    read.comment.record_id()


@given(any_text.filter(lambda text: "\0" not in text), st.integers(EARLIEST_EVENT_US, NOW_US + MAX_FUTURE_US))
def test_records_valid_by_the_first_rules_are_read_the_same_without_repair(body: str, event_us: int) -> None:
    raw = to_json(Comment("c", "x", body, event_us, "a", "p"))
    assert read_record(raw, NOW_US) == read_record(raw, NOW_US, FIRST_RULES)


@pytest.mark.parametrize("characters", [MAX_BODY_CHARACTERS - 1, MAX_BODY_CHARACTERS, MAX_BODY_CHARACTERS + 1])
def test_a_body_is_cut_at_the_limit_and_only_beyond_it(characters: int) -> None:
    read = read_record(record(body="é" * characters), NOW_US)
    assert read.comment.body == "é" * min(characters, MAX_BODY_CHARACTERS)
    assert read.repairs == ((Repair.CUT,) if characters > MAX_BODY_CHARACTERS else ())


def test_repairs_are_listed_once_each_and_in_order() -> None:
    raw = b"\xef\xbb\xbf" + record(
        body="\ud83d\0" + "x" * (MAX_BODY_CHARACTERS + 9), community=None, author_key=7, parent_id=""
    )
    raw = raw.replace(b"xxxx", b"\xff\xff", 1)
    assert read_record(raw, NOW_US).repairs == tuple(Repair)


@pytest.mark.parametrize(
    ("raw", "reason", "detail"),
    [
        (b"", R.EMPTY, "white space"),
        (b"\xef\xbb\xbf \n", R.EMPTY, "white space"),
        (b"x" * (MAX_RECORD_BYTES + 1), R.TOO_LARGE, "limit"),
        (record()[:-1], R.NOT_JSON, "end of data"),
        (b"\0\0\0\0\x2a" + record(), R.NOT_JSON, "schema registry frame (schema id 42)"),
        (record().decode().encode("utf-16"), R.NOT_JSON, "UTF-16"),
        (record(schema_version=2), R.SCHEMA_VERSION, "1 or absent"),
        (record(comment_id="absent"), R.MISSING_FIELD, "comment_id"),
        (record(comment_id=""), R.OUT_OF_RANGE, "comment_id"),
        (record(comment_id="x" * (MAX_ID_CHARACTERS + 1)), R.OUT_OF_RANGE, "comment_id"),
        (record(body="absent"), R.MISSING_FIELD, "body"),
        (record(body=7), R.WRONG_TYPE, "body"),
        (record(event_time_us="absent"), R.MISSING_FIELD, "event_time_us"),
        (record(event_time_us=str(NOW_US)), R.WRONG_TYPE, "integer of microseconds"),
        (record(event_time_us=NOW_US // 1_000), R.PAST_DATED, "looks like milliseconds"),
        (record(event_time_us=NOW_US // 1_000_000), R.PAST_DATED, "looks like seconds"),
        (record(event_time_us=0), R.PAST_DATED, "before 946684800000000"),
        (record(event_time_us=EARLIEST_EVENT_US - 1), R.PAST_DATED, "before"),
        (record(event_time_us=NOW_US * 1_000), R.OUT_OF_RANGE, "looks like nanoseconds"),
        (record(event_time_us=MAX_TIME_US + 1), R.OUT_OF_RANGE, "9999"),
        (record(event_time_us=NOW_US + MAX_FUTURE_US + 1), R.FUTURE_DATED, "300 s after"),
    ],
)
def test_unreadable_comments_are_refused_with_reason_and_detail(
    raw: bytes, reason: DeadLetterReason, detail: str
) -> None:
    with pytest.raises(InvalidRecord) as refused:
        read_record(raw, NOW_US)
    assert refused.value.reason == reason
    assert detail in refused.value.cause


def test_the_earliest_event_time_is_a_setting_of_the_rules() -> None:
    early = record(event_time_us=EARLIEST_EVENT_US - 1)
    assert parse_record(early, NOW_US, Rules(earliest_event_us=0)).event_time_us == EARLIEST_EVENT_US - 1
    with pytest.raises(InvalidRecord, match="before"):
        parse_record(record(event_time_us=NOW_US - 1), NOW_US, Rules(earliest_event_us=NOW_US))


def test_repairing_takes_time_linear_in_the_length() -> None:
    """An expensive text: lone surrogates only, after an invalid byte that forces every step."""

    def seconds(count: int) -> float:
        raw = record(body="@").replace(b"@", b"\xff" + rb"\ud83d" * count)
        begun = time.process_time()
        for _ in range(3):
            read_record(raw, NOW_US)
        return time.process_time() - begun

    seconds(10)
    assert seconds(100_000) < 40 * max(seconds(10_000), 0.003)


def action(**changes: object) -> bytes:
    fields = {
        "schema_version": 1,
        "comment_id": "c1",
        "kind": "remove",
        "moderator_key": "m1",
        "reason": "spam",
        "action_time_us": NOW_US,
        "inclusion_probability": 0.5,
    }
    return orjson.dumps({name: value for name, value in {**fields, **changes}.items() if value != "absent"})


def test_an_action_parses_and_round_trips() -> None:
    parsed = parse_action(action())
    assert parsed == Action("c1", ActionKind.REMOVE, "m1", "spam", NOW_US, 0.5)
    assert parse_action(to_json(parsed)) == parsed
    assert parse_action(action(inclusion_probability=1)).inclusion_probability == 1.0


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (action(inclusion_probability="absent"), R.MISSING_FIELD),
        (action(inclusion_probability=0), R.OUT_OF_RANGE),
        (action(inclusion_probability=1.01), R.OUT_OF_RANGE),
        (action(inclusion_probability="1"), R.WRONG_TYPE),
        (action(inclusion_probability=True), R.WRONG_TYPE),
        (action(kind="ban"), R.OUT_OF_RANGE),
        (action(action_time_us=None), R.WRONG_TYPE),
        (action(moderator_key=""), R.OUT_OF_RANGE),
        (action(action_time_us=NOW_US // 1_000_000), R.PAST_DATED),
        (action(action_time_us=NOW_US // 1_000), R.PAST_DATED),
    ],
)
def test_unreadable_actions_are_refused_with_their_reason(raw: bytes, reason: DeadLetterReason) -> None:
    with pytest.raises(InvalidRecord) as refused:
        parse_action(raw)
    assert refused.value.reason == reason


def test_actions_are_repaired_and_cut_as_leniently() -> None:
    raw = json.dumps({**orjson.loads(action()), "reason": "\ud83d\0" + "x" * 2_000, "tool": "console"}).encode()
    parsed = parse_action(raw.replace(b'"schema_version": 1, ', b""))
    assert parsed.reason == ("\ufffd\ufffd" + "x" * 2_000)[:1_000]
    for reason in ("absent", None, 7):
        assert parse_action(action(reason=reason)).reason == ""
