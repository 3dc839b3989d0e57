from __future__ import annotations

import pytest

from moderation.errors import TooManyDeadLetters
from stream.worker.dead_letter_limit import DeadLetterLimit


def test_the_share_applies_to_a_full_window_only() -> None:
    limit = DeadLetterLimit(window=10, share=0.5, run=100)
    limit.note([True] * 9)
    with pytest.raises(TooManyDeadLetters, match="10 of the last 10"):
        limit.note([True])


def test_a_share_just_below_the_limit_never_stops_the_worker() -> None:
    limit = DeadLetterLimit(window=10, share=0.5, run=100)
    limit.note([n % 5 < 2 for n in range(10_000)])
    with pytest.raises(TooManyDeadLetters, match="5 of the last 10"):
        limit.note([True, True, True])


def test_a_readable_record_ends_a_run() -> None:
    limit = DeadLetterLimit(window=1_000, share=0.5, run=3)
    limit.note([True, True, False, True, True])
    with pytest.raises(TooManyDeadLetters, match="3 unreadable records in a row"):
        limit.note([True])
