"""Running maximum of a partition's event times over records of the lake, by the rules that decided each record."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moderation.contracts import Rules
from moderation.watermark import Reset, RunningMaximum, advance

RulesByOffset = tuple[tuple[int, Rules], ...]
"""Rules by the offset from which on they apply, in order."""


def rules_at(rules: RulesByOffset, offset: int) -> Rules:
    """Return the rules that apply at an offset."""
    if len(rules) == 1:
        return rules[0][1]
    return rules[bisect_right(rules, offset, key=lambda each: each[0]) - 1][1]


class MaximumWalk:
    """Moves the running maximum over accepted comments of one partition, in offset order.

    Args:
        state: before the first comment.
        rules: that decided the comments.
        resets: of an operator, in order of offsets; each applies before the first comment at or after its offset.
    """

    def __init__(self, state: RunningMaximum, rules: RulesByOffset, resets: Sequence[Reset]) -> None:
        self.state = state
        self._rules = rules
        self._resets = list(resets)

    def advance_over(
        self, offsets: Sequence[int], event_times_us: NDArray[np.int64], comment_ids: Sequence[str]
    ) -> NDArray[np.int64]:
        """Advance over the next comments.

        Args:
            offsets: of the comments, in order, length n.
            event_times_us: of the comments, shape (n,).
            comment_ids: of the comments, length n.

        Returns:
            The confirmed maximum before each of them, shape (n,); see :class:`moderation.watermark.Advanced`.
        """
        parts = [np.empty(0, np.int64)]
        first = 0
        while first < len(offsets):
            self.advance_to(offsets[first])
            end = bisect_left(offsets, self._next_change(offsets[first]), first)
            rules = rules_at(self._rules, offsets[first])
            part = advance(self.state, event_times_us[first:end], comment_ids[first:end], rules)
            parts.append(part.before_us)
            self.state = part.state
            first = end
        return np.concatenate(parts)

    def advance_to(self, offset: int) -> RunningMaximum:
        """Apply the resets up to an offset that are not applied yet; returns the state there."""
        while self._resets and self._resets[0].offset <= offset:
            self.state = RunningMaximum(self._resets.pop(0).newest_event_us)
        return self.state

    def _next_change(self, offset: int) -> int:
        """Return the first offset after this one at which other rules or a reset apply."""
        changes = [each for each, _ in self._rules if each > offset]
        changes += [self._resets[0].offset] if self._resets else []
        return min(changes, default=2**63 - 1)
