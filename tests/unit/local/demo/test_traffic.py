"""The demonstration's traffic is within the interval of an untouched retraining, and is the same each week."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from batch.retrain.options import parse_options
from local.demo.traffic import DAYS, HISTORY, HISTORY_DAYS, LIVE, REST, REST_DAYS, DemoTraffic, generated
from moderation.datasets.synthetic import TrafficConfig
from moderation.timestamps import DAY_US, HOUR_US, moment_of
from stream.source import CsvExport, History

NOW_US = 1_795_000_000_000_000


@pytest.mark.parametrize("later_us", [0, HOUR_US, *(days * DAY_US - 1 for days in range(1, 9))])
def test_all_of_it_lies_in_the_interval_of_an_untouched_retraining(later_us: int) -> None:
    before_us = NOW_US + later_us
    config = generated(before_us)
    interval = parse_options({}, moment_of(before_us)).interval
    assert interval.start_us <= config.start_us
    assert config.start_us + config.days * DAY_US <= interval.end_us
    assert interval.end_us - (config.start_us + config.days * DAY_US) < 7 * DAY_US


@pytest.mark.parametrize("days", range(14))
def test_it_begins_on_the_same_day_of_the_week_each_time(days: int) -> None:
    config = generated(NOW_US + days * DAY_US)
    start = datetime.fromtimestamp(config.start_us / 1e6, UTC)
    assert (start.weekday(), start.hour, start.minute) == (3, 0, 0)
    assert config.start_us % DAY_US == TrafficConfig().start_us % DAY_US


def test_history_ends_before_most_of_the_days_so_that_new_labels_exist() -> None:
    assert HISTORY_DAYS + REST_DAYS < DAYS
    assert DAYS - HISTORY_DAYS - REST_DAYS >= DAYS * 0.4


def traffic(origin: CsvExport | History) -> DemoTraffic:
    return DemoTraffic(origin, NOW_US, NOW_US + 8 * DAY_US, NOW_US + 10 * DAY_US + 1, 100, 40)


def test_parts_follow_each_other_without_gap_or_overlap(tmp_path: Path) -> None:
    plans = [traffic(History(tmp_path)).plan(part, tmp_path) for part in (HISTORY, LIVE, REST)]
    assert [(plan.skip, plan.limit) for plan in plans] == [(0, 100), (100, 40), (140, None)]
    assert len({plan.state for plan in plans}) == 3


def test_form_of_generated_traffic_is_untouched_and_that_of_an_export_names_its_interval(tmp_path: Path) -> None:
    assert traffic(History(tmp_path)).form() == {}
    form = traffic(CsvExport(tmp_path / "export.csv")).form()
    interval = parse_options(form, moment_of(NOW_US + 100 * DAY_US)).interval
    assert interval.start_us <= NOW_US
    assert NOW_US + 10 * DAY_US < interval.end_us <= NOW_US + 10 * DAY_US + HOUR_US
