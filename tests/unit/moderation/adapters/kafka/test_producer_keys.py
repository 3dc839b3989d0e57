from __future__ import annotations

import pytest

from cli.dead_letter_summary import shown_key
from moderation.adapters.kafka.producer_keys import ProducerKey, _ranges, producer_key
from moderation.adapters.kafka.topic_reader import LogRecord


@pytest.mark.parametrize(
    ("key", "headers", "expected"),
    [
        (b"k" * 300, [("client", b"c")], ProducerKey(None, b"k" * 256)),
        (b"", [("client", b"c")], ProducerKey(None, b"")),
        (None, [("replay_of", b"x"), ("empty", None), ("client", b"c" * 300)], ProducerKey("client", b"c" * 256)),
        (None, [("replay_of", b"x")], None),
        (None, [], None),
    ],
    ids=["key", "empty key", "header", "a replay's own header", "neither"],
)
def test_a_record_names_its_producer_by_key_or_first_header(
    key: bytes | None, headers: list[tuple[str, bytes | None]], expected: ProducerKey | None
) -> None:
    assert producer_key(LogRecord(1, 1, key, b"value", headers)) == expected


def test_offsets_close_to_each_other_are_read_together() -> None:
    assert list(_ranges([])) == []
    assert list(_ranges([5])) == [(5, 6)]
    assert list(_ranges([5, 6, 60, 200, 10_000])) == [(5, 61), (200, 201), (10_000, 10_001)]


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (b"plain", "plain"),
        (b"a\x1b[2J\n\xff\xe2\x80\xae", "a\\x1b[2J\\n\\xff\\u202e"),
        (100 * b"x", 60 * "x" + "…"),
    ],
)
def test_a_key_is_shown_escaped_and_cut(key: bytes, shown: str) -> None:
    assert shown_key(key) == shown
