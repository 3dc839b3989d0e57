from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from batch.run_interval import Interval, resolve_interval
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
