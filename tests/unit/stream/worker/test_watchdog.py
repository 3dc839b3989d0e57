from __future__ import annotations

import faulthandler
import threading

import pytest

from stream.worker import watchdog
from stream.worker.watchdog import (
    FROZEN_SECONDS,
    REBALANCING_SECONDS,
    STALLED_SECONDS,
    UNREAD_SECONDS,
    StuckDetector,
    Vitals,
    WatchedTime,
)

LOOP = "the event loop"


def judge_after(
    seconds: int,
    vitals: Vitals,
    ends: dict[int, int] | None,
    heard: bool = True,
    unread: frozenset[int] = frozenset(),
) -> str | None:
    """Return the result of a detector that checks a worker in the same state every second."""
    detector = StuckDetector()
    detector.begin([LOOP], 0.0)
    reason = None
    for second in range(seconds + 1):
        if heard:
            detector.note_answer(LOOP, float(second))
        reason = detector.check(vitals, ends, float(second), unread)
    return reason


def test_a_worker_that_stores_nothing_while_records_wait_is_stuck() -> None:
    assert judge_after(round(STALLED_SECONDS), Vitals({0: 10}), {0: 11}) is None
    reason = judge_after(round(STALLED_SECONDS) + 2, Vitals({0: 10}), {0: 11})
    assert reason is not None
    assert "1 records wait" in reason


@pytest.mark.parametrize(
    ("vitals", "ends"),
    [
        (Vitals({0: 10}), {0: 10}),
        (Vitals({0: 10}), None),
        (Vitals({0: 10}, patient=True), {0: 99}),
        (Vitals({0: 10}, patient=True, rebalancing=True), {0: 99}),
        (Vitals({}), {0: 99}),
    ],
    ids=["no lag", "broker away", "database away", "database away at an assignment", "no partitions"],
)
def test_a_worker_with_nothing_to_read_is_not_stuck(vitals: Vitals, ends: dict[int, int] | None) -> None:
    assert judge_after(600, vitals, ends) is None


def test_a_worker_that_makes_progress_is_not_stuck_despite_its_lag() -> None:
    detector = StuckDetector()
    detector.begin([LOOP], 0.0)
    for second in range(300):
        detector.note_answer(LOOP, float(second))
        stored = second // 15  # slower than anything seen, but it moves
        assert detector.check(Vitals({0: stored}), {0: 1_000_000}, float(second)) is None
    assert detector.progress.lag == {0: 1_000_000 - stored}


def test_a_worker_that_moves_one_partition_of_two_is_not_stuck() -> None:
    detector = StuckDetector()
    detector.begin([LOOP], 0.0)
    for second in range(120):
        detector.note_answer(LOOP, float(second))
        assert detector.check(Vitals({0: second, 1: 0}), {0: second, 1: 5}, float(second)) is None


def test_a_loop_that_does_not_answer_is_named() -> None:
    reason = judge_after(round(FROZEN_SECONDS) + 1, Vitals({0: 10}), {0: 10}, heard=False)
    assert reason is not None
    assert LOOP in reason


def test_an_assignment_that_never_completes_is_detected() -> None:
    assert judge_after(round(REBALANCING_SECONDS), Vitals({}, rebalancing=True), {}) is None
    reason = judge_after(round(REBALANCING_SECONDS) + 1, Vitals({}, rebalancing=True), {})
    assert reason is not None
    assert "assignment" in reason


def test_a_part_that_ended_is_named_at_once() -> None:
    assert judge_after(0, Vitals({0: 1}, ended=("agent decide",)), {0: 1}) == "agent decide ended"


def test_the_rate_is_of_the_last_ten_seconds() -> None:
    detector = StuckDetector()
    detector.begin([LOOP], 0.0)
    for second in range(60):
        detector.note_answer(LOOP, float(second))
        detector.check(Vitals({0: 0 if second < 30 else 100 * (second - 30)}), {0: 10_000}, float(second))
    assert detector.progress.per_second == pytest.approx(100)


def test_a_worker_without_partitions_is_stuck_while_nobody_reads_some() -> None:
    unread = frozenset({2, 0})
    assert judge_after(round(UNREAD_SECONDS), Vitals({}), {}, unread=unread) is None
    reason = judge_after(round(UNREAD_SECONDS) + 1, Vitals({}), {}, unread=unread)
    assert reason is not None
    assert "no worker read partition 0, 2" in reason


@pytest.mark.parametrize(
    ("vitals", "unread"),
    [
        (Vitals({}), frozenset()),
        (Vitals({1: 5}), frozenset({0})),
        (Vitals({}, patient=True), frozenset({0})),
    ],
    ids=["others read all", "it has a partition itself", "the database is away"],
)
def test_a_worker_that_others_read_for_or_that_reads_itself_is_not_ended(
    vitals: Vitals, unread: frozenset[int]
) -> None:
    assert judge_after(600, vitals, {1: 5}, unread=unread) is None


def test_the_timer_of_unread_partitions_restarts_once_they_are_read() -> None:
    detector = StuckDetector()
    detector.begin([LOOP], 0.0)
    for second in range(100):
        detector.note_answer(LOOP, float(second))
        unread = frozenset({0}) if second % 15 else frozenset[int]()
        assert detector.check(Vitals({}), {}, float(second), unread) is None
    assert detector.progress.unread == {0}


def looks_until_stuck(gap_seconds: float, ends: list[dict[int, int] | None], looks: int = 100) -> int | None:
    """Return the number of checks, this many seconds apart, until a worker that stores nothing is stuck."""
    detector, watched = StuckDetector(), WatchedTime()
    detector.begin([LOOP], watched.advance(0.0))
    for number in range(1, looks + 1):
        now = watched.advance(number * gap_seconds)
        detector.note_answer(LOOP, now)
        if detector.check(Vitals({0: 10}), ends[number % len(ends)], now) is not None:
            return number
    return None


def test_a_starved_watchdog_detects_a_stuck_worker_after_a_few_checks() -> None:
    # Each look comes so late that the process might have been suspended: that must not reset any clock.
    assert looks_until_stuck(20.0, [{0: 11}]) == 3
    assert looks_until_stuck(7.0, [{0: 11}]) == 3


def test_a_broker_that_answers_rarely_does_not_reset_the_timer() -> None:
    number = looks_until_stuck(1.0, [None, {0: 11}])
    assert number is not None
    assert number < 3 * STALLED_SECONDS
    assert looks_until_stuck(1.0, [None]) is None


def test_a_loop_that_never_answers_is_named_by_a_starved_watchdog_too() -> None:
    detector, watched = StuckDetector(), WatchedTime()
    detector.begin([LOOP], watched.advance(0.0))
    reasons = [detector.check(Vitals({0: 10}), {0: 10}, watched.advance(20.0 * number)) for number in range(1, 5)]
    assert LOOP in str(reasons[-1])


def test_a_suspended_process_has_time_to_continue() -> None:
    detector, watched = StuckDetector(), WatchedTime()
    detector.begin([LOOP], watched.advance(0.0))
    assert detector.check(Vitals({0: 10}), {0: 11}, watched.advance(1.0)) is None
    assert detector.check(Vitals({0: 10}), {0: 11}, watched.advance(1_000.0)) is None
    assert detector.check(Vitals({0: 11}), {0: 11}, watched.advance(1_001.0)) is None


def test_a_watchdog_whose_checks_fail_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(watchdog, "HELD_SECONDS", 0.1)
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *_, **__: None)
    left: list[BaseException] = []
    gone = threading.Event()

    def fail() -> Vitals:
        raise RuntimeError("a defect")

    def leave(error: BaseException) -> None:
        left.append(error)
        gone.set()

    watch = watchdog.Watchdog(fail, lambda _: {}, {}, leave, lambda _: None)
    watch.start()
    assert gone.wait(20)
    watch.stop()
    assert "every check of the watchdog failed" in str(left[0])
