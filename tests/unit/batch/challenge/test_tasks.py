"""Hours that a run of ``compare_challenger`` compares."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from batch.challenge.tasks import hours_of_run
from batch.run_interval import RunDates

NOW = datetime(2026, 11, 23, 9, 20, tzinfo=UTC)
FORM: dict[str, object] = {"hours": 24, "start": None, "end": None}


def test_scheduled_runs_and_the_untouched_form_compare_the_newest_hours() -> None:
    for run in (RunDates("scheduled", NOW, NOW), RunDates("manual", NOW), RunDates("manual", NOW, NOW)):
        assert hours_of_run(FORM, run) == FORM


def test_a_stated_date_ends_the_hours_and_parameters_come_first() -> None:
    end = NOW - timedelta(days=3)
    expected = {"hours": 2, "start": (end - timedelta(hours=2)).isoformat(), "end": end.isoformat()}
    for run in (RunDates("manual", NOW, end), RunDates("backfill", end, end)):
        assert hours_of_run({"hours": 2}, run) == expected
    interval = {**FORM, "start": "2026-11-01T00:00:00Z", "end": "2026-11-02T00:00:00Z"}
    assert hours_of_run(interval, RunDates("manual", NOW, end)) == interval
