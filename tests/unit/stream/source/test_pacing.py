from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.contracts import parse_action, parse_record, to_json
from moderation.contracts.records import MAX_TIME_US
from moderation.datasets.synthetic import Arrival, TrafficConfig, generate
from moderation.errors import ConfigurationError
from stream.source.pacing import AsFastAsPossible, AtRate, AtRecordedTimes, Pace, Schedule
from stream.source.time_shift import shifted, shifted_arrival

_SECOND_US = 1_000_000
_paces = st.one_of(
    st.builds(AtRate, st.floats(0.1, 1e6)),
    st.builds(AtRecordedTimes, st.floats(0.01, 1e6)),
    st.just(AsFastAsPossible()),
)
_times = st.lists(st.integers(0, 10**12), max_size=40).map(sorted)


def arrival(number: int, at_us: int, value: bytes = b"{}") -> Arrival:
    return Arrival(at_us, "comments", f"c{number}", value, None, None)


def arrivals(times_us: list[int]) -> list[Arrival]:
    return [arrival(number, at_us) for number, at_us in enumerate(times_us)]


@given(_times, _paces, st.lists(st.integers(0, 10**8), max_size=20).map(sorted), st.integers(1, 7))
def test_every_arrival_is_returned_once_in_order_and_never_early(
    times_us: list[int], pace: Pace, clock_us: list[int], most: int
) -> None:
    schedule = Schedule(arrivals(times_us), pace)
    taken: list[Arrival] = []
    for elapsed_us in [*clock_us, *[10**20] * len(times_us)]:
        batch = schedule.due(elapsed_us, most, 10**9)
        assert len(batch) <= most
        for each in batch:
            number = int(each.key[1:])
            assert pace.due_us(number, each.arrival_us - times_us[0]) <= elapsed_us
        taken += batch
    assert taken == arrivals(times_us)
    assert schedule.next_due_us is None


@given(_times, _paces, st.integers(0, 10**8))
def test_due_arrivals_are_returned(times_us: list[int], pace: Pace, elapsed_us: int) -> None:
    schedule = Schedule(arrivals(times_us), pace)
    due = [n for n, at_us in enumerate(times_us) if pace.due_us(n, at_us - times_us[0]) <= elapsed_us]
    assert len(schedule.due(elapsed_us, 1_000, 10**9)) == len(due)
    assert schedule.next_due_us is None or schedule.next_due_us > elapsed_us


def test_a_rate_counts_from_the_first_arrival() -> None:
    schedule = Schedule(arrivals([0] * 30), AtRate(10))
    assert len(schedule.due(0, 100, 10**9)) == 1
    assert len(schedule.due(_SECOND_US, 100, 10**9)) == 10
    assert schedule.next_due_us == 1_100_000


def test_recorded_times_run_at_the_speed() -> None:
    schedule = Schedule(arrivals([5_000_000, 65_000_000, 125_000_000]), AtRecordedTimes(60))
    assert [len(schedule.due(at_us, 9, 9)) for at_us in (0, 999_999, 1_000_000, 1_999_999, 2_000_000)] == [
        1,
        0,
        1,
        0,
        1,
    ]


def test_a_batch_ends_when_its_values_have_enough_bytes() -> None:
    schedule = Schedule([arrival(n, 0, b"x" * 10) for n in range(5)], AsFastAsPossible())
    assert [len(schedule.due(0, 100, 25)) for _ in range(3)] == [3, 2, 0]


@pytest.mark.parametrize("number", [0, -1, float("nan"), float("inf")])
def test_a_pace_without_progress_is_refused(number: float) -> None:
    with pytest.raises(ConfigurationError, match="--rate"):
        AtRate(number)
    with pytest.raises(ConfigurationError, match="--speed"):
        AtRecordedTimes(number)


_traffic = list(
    generate(
        TrafficConfig(
            days=1, comments_per_day=300, broken_share=0.1, future_share=0.1, edit_share=0.1, duplicate_share=0.1
        )
    )
)


def test_the_sample_traffic_contains_every_kind() -> None:
    assert {each.injected for each in _traffic} == {"broken", "future_dated", "edited", "duplicate", None}
    assert {each.topic for each in _traffic} == {"comments", "actions"}


@given(st.integers(-(10**15), 10**16))
def test_a_shift_moves_every_time_by_the_same_and_can_be_undone(by_us: int) -> None:
    moved = list(shifted(_traffic, by_us))
    assert list(shifted(moved, -by_us)) == _traffic
    for before, after in zip(_traffic, moved, strict=True):
        assert after.arrival_us == before.arrival_us + by_us
        assert (after.topic, after.key) == (before.topic, before.key)
        if before.injected == "broken":
            assert after.value == before.value
        elif before.topic == "actions":
            action = parse_action(before.value)
            assert parse_action(after.value) == replace(action, action_time_us=action.action_time_us + by_us)
        else:
            comment = parse_record(before.value, MAX_TIME_US)
            moved_comment = replace(comment, event_time_us=comment.event_time_us + by_us)
            assert after.value == to_json(moved_comment)


def test_without_a_shift_values_stay_the_same_bytes() -> None:
    fields = orjson.loads(_traffic[0].value)
    spelled = replace(_traffic[0], value=orjson.dumps(fields, option=orjson.OPT_INDENT_2))
    assert list(shifted([spelled], 0)) == [spelled]
    assert shifted_arrival(spelled, 1).value != spelled.value


def test_a_shift_beyond_valid_times_is_refused_by_name() -> None:
    ordinary = next(each for each in _traffic if each.injected is None)
    for by_us in (-ordinary.arrival_us - 10**12, MAX_TIME_US):
        with pytest.raises(ConfigurationError, match=f"--shift-to: the time of {ordinary.key}"):
            shifted_arrival(ordinary, by_us)
