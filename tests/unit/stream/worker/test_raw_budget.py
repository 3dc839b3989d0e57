"""Budget of raw bytes of dead letters per minute."""

from __future__ import annotations

from moderation.contracts import DeadLetter, DeadLetterReason, dead_letter
from moderation.errors import InvalidRecord
from stream.worker.raw_budget import RawBudget


def letter(size: int) -> tuple[int, int, DeadLetter]:
    return 0, size, dead_letter(b"x" * size, 1, InvalidRecord(DeadLetterReason.NOT_JSON, ""))


def test_letters_beyond_the_budget_of_the_minute_keep_digest_and_length_only() -> None:
    now = [0.0]
    budget = RawBudget(100, lambda: now[0])
    letters = [letter(60), letter(50), letter(40), letter(1)]
    kept = budget.within(letters)
    assert [len(each.raw) for _, _, each in kept] == [60, 0, 40, 0]
    assert [(each.raw_length, each.raw_sha256) for _, _, each in kept] == [
        (each.raw_length, each.raw_sha256) for _, _, each in letters
    ]
    now[0] = 59.9
    assert [len(each.raw) for _, _, each in budget.within([letter(1)])] == [0]
    now[0] = 60.0
    assert [len(each.raw) for _, _, each in budget.within([letter(100), letter(0)])] == [100, 0]
