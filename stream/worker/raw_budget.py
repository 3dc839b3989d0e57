"""Limit the raw bytes of dead letters in the ledger, so that a flood of large bad records does not fill its disk.

Beyond the budget, only digest and length of a dead letter are stored; the topic and the lake have the bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from moderation.contracts import DeadLetter

Letters = list[tuple[int, int, DeadLetter]]
_MINUTE_SECONDS = 60.0


class RawBudget:
    """Keeps the bytes of dead letters that fit into the budget of the minute.

    Args:
        most_bytes: budget of one minute.
        clock: monotonic seconds.
    """

    def __init__(self, most_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_bytes = most_bytes
        self._clock = clock
        self._left = most_bytes
        self._until = clock() + _MINUTE_SECONDS

    def within(self, letters: Iterable[tuple[int, int, DeadLetter]]) -> Letters:
        """Return the letters; remove the bytes of those that exceed the budget, but keep digest and length."""
        now = self._clock()
        if now >= self._until:
            self._left, self._until = self._most_bytes, now + _MINUTE_SECONDS
        kept: Letters = []
        for partition, offset, letter in letters:
            fits = len(letter.raw) <= self._left
            self._left -= len(letter.raw) if fits else 0
            kept.append((partition, offset, letter if fits else replace(letter, raw=b"")))
        return kept
