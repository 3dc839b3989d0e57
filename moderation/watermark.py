"""The running maximum of event times of a partition, which determines its watermark.

Rules version 1 takes the plain maximum. From version 2 on, one comment cannot move the maximum by more than an hour:

- The first comment of a partition sets the maximum.
- A comment at most an hour above the maximum raises it to its own event time, as the plain maximum does.
- A comment more than an hour above is decided like any other, but becomes the *candidate* of the partition and does not
  move the maximum. There is at most one candidate.
- The next comment more than an hour above that has another comment id confirms the candidate. The maximum rises to the
  smaller of the two times. The larger time stays the candidate if it is still more than an hour above; else the maximum
  rises to it.
- If that next comment has the candidate's own id (a copy or an edit), it confirms nothing. The smaller of the two times
  stays the candidate: a later confirmation then confirms the smaller time, so fewer comments become late.
- A candidate is dropped once the maximum is within an hour of it: a comment at its time would be accepted as usual.

Comments are distinguished by comment id. Ledger and lake have it, and it does not depend on whether a producer set
Kafka's record key.

A quiet partition recovers with the second comment after the gap. One comment id can still raise the maximum by up to an
hour with each of its records. The broker's clock bounds that: an event time more than five minutes after the append
time is a dead letter ``future_dated``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moderation.contracts import Rules

MAX_STEP_US = 60 * 60 * 1_000_000
"""Largest step by which one comment moves the maximum."""
NO_EVENT_US = -(2**62)
"""The maximum before the first comment, as a number."""


class Candidate(NamedTuple):
    """An event time more than an hour above the maximum that no other comment has confirmed."""

    event_time_us: int
    comment_id: str


class RunningMaximum(NamedTuple):
    """The running maximum of a partition at an offset.

    Attributes:
        newest_event_us: the confirmed maximum in microseconds; None before the first comment.
        candidate: an event time more than an hour above it; None if there is none.
    """

    newest_event_us: int | None = None
    candidate: Candidate | None = None

    def after(self, event_time_us: int, comment_id: str, rules: Rules) -> RunningMaximum:
        """The state after one accepted comment.

        Args:
            event_time_us: of the comment.
            comment_id: of the comment.
            rules: rules that decide it. Version 1 takes the plain maximum and leaves the candidate as it is.
        """
        newest_us, candidate = self
        if newest_us is None:
            return RunningMaximum(event_time_us)
        if not rules.confirms_jumps:
            return RunningMaximum(max(newest_us, event_time_us), candidate)
        if candidate is not None and candidate.event_time_us <= newest_us + MAX_STEP_US:
            candidate = None
        claim = Candidate(event_time_us, comment_id)
        if event_time_us <= newest_us + MAX_STEP_US:
            return _without_near(max(newest_us, event_time_us), candidate)
        if candidate is None:
            return RunningMaximum(newest_us, claim)
        smaller, larger = (claim, candidate) if event_time_us <= candidate.event_time_us else (candidate, claim)
        if comment_id == candidate.comment_id:
            return RunningMaximum(newest_us, smaller)
        if larger.event_time_us > smaller.event_time_us + MAX_STEP_US:
            return RunningMaximum(smaller.event_time_us, larger)
        return RunningMaximum(larger.event_time_us)


NOTHING_SEEN = RunningMaximum()
"""The state at the beginning of a partition."""


class Reset(NamedTuple):
    """An operator's command that sets the maximum at ``offset`` to ``newest_event_us``."""

    offset: int
    newest_event_us: int


class Advanced(NamedTuple):
    """The running maximum before and after accepted comments.

    Attributes:
        before_us: the confirmed maximum before each of them, shape (n,); ``NO_EVENT_US`` before the first comment.
        state: the running maximum after the last of them.
    """

    before_us: NDArray[np.int64]
    state: RunningMaximum


def advance(
    state: RunningMaximum, event_times_us: NDArray[np.int64], comment_ids: Sequence[str], rules: Rules
) -> Advanced:
    """Move the running maximum of a partition past its next accepted comments.

    Args:
        state: the running maximum before the first of them.
        event_times_us: of the comments in offset order, shape (n,).
        comment_ids: of the same comments, length n.
        rules: rules that decide them.
    """
    if not len(event_times_us):
        return Advanced(np.empty(0, np.int64), state)
    running = np.empty(len(event_times_us) + 1, np.int64)
    running[0] = NO_EVENT_US if state.newest_event_us is None else state.newest_event_us
    running[1:] = event_times_us
    np.maximum.accumulate(running, out=running)
    newest_us = int(running[-1])
    if not rules.confirms_jumps:
        return Advanced(running[:-1], RunningMaximum(newest_us, state.candidate))
    first = 1 if state.newest_event_us is None else 0
    if not np.any(np.diff(running[first:]) > MAX_STEP_US):
        candidate = None if state.newest_event_us is None else state.candidate
        return Advanced(running[:-1], _without_near(newest_us, candidate))
    before_us = np.empty(len(event_times_us), np.int64)
    for index, (event_time_us, comment_id) in enumerate(zip(event_times_us.tolist(), comment_ids, strict=True)):
        before_us[index] = NO_EVENT_US if state.newest_event_us is None else state.newest_event_us
        state = state.after(event_time_us, comment_id, rules)
    return Advanced(before_us, state)


def _without_near(newest_us: int, candidate: Candidate | None) -> RunningMaximum:
    """Return the state with this maximum; a candidate within an hour of it is dropped."""
    if candidate is not None and candidate.event_time_us <= newest_us + MAX_STEP_US:
        candidate = None
    return RunningMaximum(newest_us, candidate)
