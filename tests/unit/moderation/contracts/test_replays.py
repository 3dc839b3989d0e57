from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.contracts import (
    MAX_OFFSET,
    MAX_PARTITION,
    Content,
    LetterContents,
    RecordPosition,
    ReplayOutcome,
    named_letter,
    parse_replay_of,
    replay_headers,
    replay_outcome,
)

TOPIC_ID = UUID("0f7d5f3e-92a1-4f0e-8a8b-0123456789ab")
LETTER = RecordPosition(TOPIC_ID, 3, 7)
VALUE = Content.of(b"the bytes of the record")


@given(st.uuids(), st.integers(0, MAX_PARTITION), st.integers(0, MAX_OFFSET))
def test_a_header_round_trips_its_position(topic_id: UUID, partition: int, offset: int) -> None:
    position = RecordPosition(topic_id, partition, offset)
    assert parse_replay_of(position.header()) == position


@given(st.binary(max_size=80))
def test_any_header_is_either_canonical_or_names_nothing(header: bytes) -> None:
    position = parse_replay_of(header)
    assert position is None or position.header() == header


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"/".join([b"9" * 5_000] * 3),
        f"{TOPIC_ID}/{MAX_PARTITION + 1}/0".encode(),
        f"{TOPIC_ID}/0/{MAX_OFFSET + 1}".encode(),
        f"{TOPIC_ID}/-1/0".encode(),
        f"{TOPIC_ID}/01/0".encode(),
        f"{TOPIC_ID}/1_0/0".encode(),
        f"{TOPIC_ID}/1/ 0".encode(),
        f"{TOPIC_ID}/1/0\n".encode(),
        f"{TOPIC_ID}/\u0663/0".encode(),
        f"{{{TOPIC_ID}}}/1/0".encode(),
        f"{TOPIC_ID.hex}/1/0".encode(),
        str(TOPIC_ID).upper().encode() + b"/1/0",
    ],
)
def test_other_spellings_and_numbers_beyond_the_columns_name_nothing(header: bytes | None) -> None:
    assert parse_replay_of(header) is None


def test_two_headers_name_nothing() -> None:
    header = ("replay_of", LETTER.header())
    assert named_letter(replay_headers([("other", b"x"), header])) == LETTER
    assert named_letter(replay_headers([header, header])) is None


def test_only_the_bytes_of_the_dead_letter_or_its_correction_close_it() -> None:
    correction = Content.of(b"what an operator sent")
    letter = LetterContents(VALUE, correction)
    assert replay_outcome(LETTER, VALUE, letter) is ReplayOutcome.CLOSED
    assert replay_outcome(LETTER, correction, letter) is ReplayOutcome.CLOSED
    assert replay_outcome(LETTER, correction, LetterContents(VALUE)) is ReplayOutcome.MISMATCH
    assert replay_outcome(LETTER, VALUE._replace(length=VALUE.length + 1), letter) is ReplayOutcome.MISMATCH
    assert replay_outcome(LETTER, Content.of(b"forged"), letter) is ReplayOutcome.MISMATCH
    assert replay_outcome(LETTER, VALUE, None) is ReplayOutcome.UNKNOWN
    assert replay_outcome(None, VALUE, None) is ReplayOutcome.MALFORMED


def test_a_second_genuine_replay_closes_nothing() -> None:
    letter = LetterContents(VALUE, is_closed=True)
    assert replay_outcome(LETTER, VALUE, letter) is ReplayOutcome.REPEATED
    assert replay_outcome(LETTER, Content.of(b"forged"), letter) is ReplayOutcome.MISMATCH
    assert [outcome for outcome in ReplayOutcome if outcome.is_ignored] == ["malformed", "unknown", "mismatch"]
