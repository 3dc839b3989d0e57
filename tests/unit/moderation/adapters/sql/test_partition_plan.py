from __future__ import annotations

from datetime import date, timedelta

from moderation.adapters.sql.partition_plan import PAST_DAYS, DayRange, days_ahead, plan_partitions

TODAY = date(2026, 3, 1)
DAY = timedelta(days=1)


def ranges(*numbers: int) -> list[DayRange]:
    return [DayRange(TODAY + n * DAY, TODAY + (n + 1) * DAY) for n in numbers]


def days(*numbers: int) -> tuple[date, ...]:
    return tuple(TODAY + n * DAY for n in numbers)


def test_missing_days_ahead_are_created_and_those_that_may_get_rows_now_are_moved() -> None:
    plan = plan_partitions(TODAY, 4, ranges(-1, 3), {})
    assert (plan.move, plan.ahead, plan.far) == (days(0, 1), days(2, 4), {})


def test_nothing_is_planned_when_every_day_has_a_partition() -> None:
    plan = plan_partitions(TODAY, 2, ranges(0, 1, 2), {})
    assert (plan.move, plan.ahead) == ((), ())


def test_days_with_rows_in_default_are_moved_whether_they_are_past_or_ahead() -> None:
    plan = plan_partitions(TODAY, 3, ranges(0, 1, 2), dict.fromkeys(days(-PAST_DAYS, -1, 3), 5))
    assert (plan.move, plan.ahead, plan.far) == (days(-PAST_DAYS, -1, 3), (), {})


def test_far_days_get_no_partition_however_many_there_are() -> None:
    far = days(-PAST_DAYS - 1, 3, *range(100, 4_000))
    plan = plan_partitions(TODAY, 2, ranges(0, 1, 2), dict.fromkeys(far, 1))
    assert (plan.move, plan.ahead) == ((), ())
    assert plan.far == dict.fromkeys(far, 1)


def test_a_partition_of_several_days_covers_each_of_them() -> None:
    week = [DayRange(TODAY, TODAY + 7 * DAY)]
    assert plan_partitions(TODAY, 7, week, {}).ahead == days(7)
    assert days_ahead(TODAY, week) == 6


def test_days_ahead_end_at_the_first_break() -> None:
    assert days_ahead(TODAY, ranges(0, 1, 2, 4)) == 2
    assert days_ahead(TODAY, ranges(1, 2)) == -1
