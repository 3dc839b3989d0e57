from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from types import SimpleNamespace

import pytest

from batch.run_interval import Interval, RunDates, ignored_date, interval_of_run, resolve_interval
from moderation.errors import ConfigurationError

_HOUR_US = 3_600 * 1_000_000
_DAY_US = 24 * _HOUR_US
_NOON_US = 1_795_435_200 * 1_000_000  # 2026-11-23T12:00:00Z
_DAY = Interval(_NOON_US - _DAY_US // 2, _NOON_US + _DAY_US // 2)
_INTERVAL = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=UTC))


def test_a_day_and_an_hour_are_intervals_of_utc() -> None:
    assert resolve_interval({"day": "2026-11-23"}) == _DAY
    assert resolve_interval({}, "2026-11-23T12") == Interval(_NOON_US, _NOON_US + _HOUR_US)


def test_parameters_come_before_the_partition_key_and_that_before_the_data_interval() -> None:
    asked = {"start": "2026-11-23T12:00:00+00:00", "end": "2026-11-23T13:00:00"}
    assert resolve_interval(asked, "2026-11-23", _INTERVAL) == Interval(_NOON_US, _NOON_US + _HOUR_US)
    assert resolve_interval({"day": None, "other": 1}, "2026-11-23", _INTERVAL) == _DAY
    start_us = int(_INTERVAL[0].timestamp()) * 1_000_000
    assert resolve_interval({"day": ""}, None, _INTERVAL) == Interval(start_us, start_us + _HOUR_US)


def test_offsets_are_honoured_to_the_microsecond() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    start = datetime(2026, 11, 23, 17, 30, 0, 1, tzinfo=east)
    assert resolve_interval({}, None, (start, start + timedelta(hours=1))).start_us == _NOON_US + 1


def test_a_run_without_any_date_is_refused_with_the_remedy() -> None:
    for interval in (None, (_INTERVAL[0], _INTERVAL[0])):
        with pytest.raises(ConfigurationError, match="Trigger it with the parameter day"):
            resolve_interval({}, None, interval)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"day": "yesterday"}, "parameter day 'yesterday': it names neither a day nor an hour"),
        ({"day": "2026-11-23", "start": "2026-11-23"}, "parameters day, start: they do not name one interval"),
        ({"start": "2026-11-23"}, "Give either day, or start and end"),
        ({"start": "2026-11-23", "end": "soon"}, "parameter end: .*soon"),
        ({"start": "2026-11-23", "end": "2026-11-22"}, "it ends .* before it begins"),
    ],
)
def test_malformed_intervals_are_refused(params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        resolve_interval(params, "2026-11-23", _INTERVAL)


NIGHT = datetime(2026, 11, 24, 2, tzinfo=UTC)
DAY_BEFORE = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def manual(logical_date: datetime | None, key: str | None = None) -> RunDates:
    return RunDates("manual", NIGHT, logical_date, key)


def test_a_run_does_what_parameters_then_key_then_logical_date_name() -> None:
    other_day = datetime(2026, 11, 1, 15, tzinfo=UTC)
    assert interval_of_run({"day": "2026-11-23"}, manual(other_day, "2026-11-02")) == _DAY
    assert interval_of_run({"day": None}, manual(other_day, "2026-11-23")) == _DAY
    assert interval_of_run({}, manual(DAY_BEFORE)) == _DAY
    assert interval_of_run({}, RunDates("backfill", DAY_BEFORE + timedelta(days=1), DAY_BEFORE)) == _DAY


def test_a_run_without_a_stated_date_does_the_day_before_its_schedule() -> None:
    for run in (manual(None), RunDates("asset_triggered", NIGHT), RunDates("scheduled", NIGHT, NIGHT)):
        assert interval_of_run({}, run) == _DAY
    with pytest.raises(ConfigurationError, match="Trigger it with the parameter day"):
        interval_of_run({}, manual(None), default=False)


def test_the_present_time_that_the_form_fills_in_states_no_date() -> None:
    for age in (timedelta(0), timedelta(minutes=59)):
        assert manual(NIGHT - age).stated is None
        assert interval_of_run({}, manual(NIGHT - age)) == _DAY
    assert manual(NIGHT - timedelta(minutes=61)).stated == NIGHT - timedelta(minutes=61)


def test_a_logical_date_is_taken_by_its_day_of_utc() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert interval_of_run({}, manual(datetime(2026, 11, 24, 2, tzinfo=east))) == _DAY


@pytest.mark.parametrize(
    ("params", "run", "message"),
    [
        ({}, manual(NIGHT + timedelta(days=2)), "logical date 2026-11-26T02:00:00.00:00: it is in the future"),
        (
            {},
            RunDates("manual", NIGHT.replace(hour=9), NIGHT),
            "the day 2026-11-24 .UTC. is not over. Name an earlier date, or leave the date out",
        ),
        ({"day": "2026-11-25"}, manual(None), "interval 2026-11-25: it begins in the future"),
        ({}, manual(None, "2027-01-01"), "interval 2027-01-01: it begins in the future"),
        ({}, manual(None, "monday"), "partition key 'monday': it names neither a day nor an hour"),
    ],
)
def test_a_date_that_cannot_be_done_is_refused(params: dict[str, object], run: RunDates, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        interval_of_run(params, run)


def test_dates_are_read_from_an_airflow_run() -> None:
    class Type(StrEnum):
        MANUAL = "manual"

    run = SimpleNamespace(run_type=Type.MANUAL, run_after=NIGHT, logical_date=DAY_BEFORE, partition_key=None)
    assert RunDates.of(run) == manual(DAY_BEFORE)


def test_a_dag_without_a_date_says_so_only_if_a_date_is_stated() -> None:
    assert ignored_date(manual(NIGHT)) is None
    assert ignored_date(RunDates("scheduled", NIGHT, DAY_BEFORE)) is None
    assert "2026-11-23T09:30:00+00:00 is ignored" in (ignored_date(manual(DAY_BEFORE)) or "")
