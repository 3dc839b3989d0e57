from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.contracts import FIRST_RULES, NEWEST_RULES, Rules
from moderation.watermark import (
    MAX_STEP_US,
    NO_EVENT_US,
    NOTHING_SEEN,
    Advanced,
    Candidate,
    RunningMaximum,
    advance,
)
from tests.support.event_time_rules import fates_and_maxima_of
from tests.support.properties import examples

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
Steps = list[tuple[float, str]]
"""(hours, comment id)."""


def walk(steps: Steps, rules: Rules = NEWEST_RULES, state: RunningMaximum = NOTHING_SEEN) -> Advanced:
    times_us = np.array([round(hours * HOUR_US) for hours, _ in steps], np.int64)
    return advance(state, times_us, [comment_id for _, comment_id in steps], rules)


def hours_of(state: RunningMaximum) -> tuple[float | None, tuple[float, str] | None]:
    newest, candidate = state
    return (
        None if newest is None else newest / HOUR_US,
        None if candidate is None else (candidate.event_time_us / HOUR_US, candidate.comment_id),
    )


# Golden sequences: a change to any of them needs a new rules version.
GOLDEN: list[tuple[str, Steps, tuple[float | None, tuple[float, str] | None]]] = [
    ("the first comment sets the maximum", [(9, "a")], (9, None)),
    ("an hour is no jump", [(0, "a"), (1, "b")], (1, None)),
    ("more than an hour becomes the candidate", [(0, "a"), (1.01, "b")], (0, (1.01, "b"))),
    ("another comment confirms the smaller time", [(0, "a"), (5, "b"), (9, "c")], (5, (9, "c"))),
    ("whichever of the two is the smaller", [(0, "a"), (9, "b"), (5, "c")], (5, (9, "b"))),
    ("a larger time within an hour is merged", [(0, "a"), (5, "b"), (6, "c")], (6, None)),
    ("in either order", [(0, "a"), (6, "b"), (5, "c")], (6, None)),
    ("a copy confirms nothing", [(0, "a"), (5, "b"), (5, "b")], (0, (5, "b"))),
    ("an edit confirms nothing, the smaller time is kept", [(0, "a"), (9, "b"), (5, "b")], (0, (5, "b"))),
    ("and it stays so", [(0, "a"), (5, "b"), (9, "b")], (0, (5, "b"))),
    ("an older comment leaves the candidate", [(3, "a"), (9, "b"), (2, "c")], (3, (9, "b"))),
    ("a candidate that is no jump any more is dropped", [(0, "a"), (1.5, "b"), (0.6, "c")], (0.6, None)),
    ("a quiet partition recovers with the second", [(0, "a"), (72, "b"), (72.1, "c"), (72.2, "d")], (72.2, None)),
    ("a candidate that stays confirms later gaps", [(0, "a"), (99, "b"), (5, "c"), (20, "d")], (20, (99, "b"))),
]


@pytest.mark.parametrize(("steps", "expected"), [each[1:] for each in GOLDEN], ids=[each[0] for each in GOLDEN])
def test_the_rules_of_version_2(steps: Steps, expected: tuple[float | None, tuple[float, str] | None]) -> None:
    assert hours_of(walk(steps).state) == expected
    assert hours_of(walk(steps, FIRST_RULES).state) == (max(hours for hours, _ in steps), None)


def test_version_1_keeps_a_candidate_and_version_2_drops_it_once_it_is_near() -> None:
    state = walk([(0, "a"), (5, "b")]).state
    state = walk([(4.5, "c")], FIRST_RULES, state).state
    assert hours_of(state) == (4.5, (5, "b"))
    assert hours_of(walk([(1, "d")], state=state).state) == (4.5, None)
    state = walk([(0, "a"), (9, "b")]).state
    assert hours_of(walk([(2, "c"), (7, "d")], FIRST_RULES, state).state) == (7, (9, "b"))


def test_each_comment_is_judged_by_the_maximum_before_it() -> None:
    before_us = walk([(0, "a"), (5, "b"), (6, "c"), (0, "d")]).before_us
    assert before_us.tolist() == [NO_EVENT_US, 0, 0, 6 * HOUR_US]


def test_one_comment_id_moves_the_maximum_by_an_hour_at_most_with_each_record() -> None:
    times_us = [0, *(5 * HOUR_US, HOUR_US, 3 * HOUR_US, 2 * HOUR_US, 90 * HOUR_US, 3 * HOUR_US)]
    state = RunningMaximum(0)
    for time_us in times_us:
        after = state.after(time_us, "the only one", NEWEST_RULES)
        assert (after.newest_event_us or 0) - (state.newest_event_us or 0) <= MAX_STEP_US
        state = after
    assert state.newest_event_us == 3 * HOUR_US


TIMES = st.integers(0, 40).map(lambda quarter: quarter * 15 * MINUTE_US) | st.integers(0, 10 * HOUR_US)
LOGS = st.lists(st.tuples(TIMES, st.sampled_from("abcd")), min_size=1, max_size=40)


@examples(quick=400, thorough=10_000)
@given(log=LOGS, data=st.data())
def test_the_maximum_does_not_depend_on_batches(log: list[tuple[int, str]], data: st.DataObject) -> None:
    cuts = sorted({0, len(log), *data.draw(st.lists(st.integers(0, len(log)), max_size=5))})
    second_from = data.draw(st.sampled_from([0, 0, *cuts]))
    rows = [(time_us, bytes([index]), name) for index, (time_us, name) in enumerate(log)]
    expected = [after for _, after in fates_and_maxima_of(rows, lambda index: 2 if index >= second_from else 1)]
    state, before_us = NOTHING_SEEN, []
    for lo, hi in itertools.pairwise(cuts):
        rules = NEWEST_RULES if lo >= second_from else FIRST_RULES
        part = advance(state, np.array([row[0] for row in log[lo:hi]], np.int64), [row[1] for row in log[lo:hi]], rules)
        state = part.state
        before_us += part.before_us.tolist()
        assert tuple(state) == expected[hi - 1]
    assert before_us == [NO_EVENT_US, *(newest_us for newest_us, _ in expected[:-1])]
    assert state.candidate is None or state.candidate > Candidate((state.newest_event_us or 0), "")


@examples(quick=400, thorough=10_000)
@given(log=LOGS, first_us=TIMES)
def test_a_maximum_is_always_a_time_that_two_comments_reached_or_an_hour_more_than_one(
    log: list[tuple[int, str]], first_us: int
) -> None:
    state = RunningMaximum(first_us)
    for index, (time_us, name) in enumerate(log):
        after = state.after(time_us, name, NEWEST_RULES)
        newest_us, before_us = after.newest_event_us or 0, state.newest_event_us or 0
        assert newest_us >= before_us
        if newest_us > before_us + MAX_STEP_US:
            reached = {other for at_us, other in log[: index + 1] if at_us + MAX_STEP_US >= newest_us}
            assert len(reached) >= 2
        state = after
