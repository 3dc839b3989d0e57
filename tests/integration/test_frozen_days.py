"""Decisions of old append days are dropped by command: their days keep their results, and late comments are counted."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from batch.reconcile.run import days_to_reconcile
from cli.main import app
from local.stack.worker import settings_environment
from moderation.adapters.reconciliation.runs import day_lock
from moderation.adapters.sql.connection import connected
from moderation.adapters.sql.retirement import find_append_days
from moderation.adapters.sql.retirement import retire as retire_day
from moderation.errors import ConfigurationError, TableLocked
from moderation.timestamps import day_start_us
from tests.support.reconcile_day import DAY, DayUnderTest, comments
from tests.support.workers import SpeedLayerUnderTest

APPEND_DAY, AFTER = "2024-02-29", "2024-03-01"
"""The ledger is read from the day before the reconciled one on; the stack has no partition of this day."""


@pytest.fixture
def day(layer: SpeedLayerUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DayUnderTest:
    day = DayUnderTest(layer, tmp_path)
    for name, value in settings_environment(day.settings).items():
        monkeypatch.setenv(name, value)
    return day


def append_earlier(day: DayUnderTest) -> None:
    """Move what was decided so far to an old append day that has a partition."""
    day.execute(
        f"CREATE TABLE IF NOT EXISTS speed.decisions_20240229 PARTITION OF speed.decisions "
        f"FOR VALUES FROM ('{APPEND_DAY}') TO ('{AFTER}')"
    )
    day.execute("UPDATE speed.decisions SET append_day = %s WHERE topic_id = %s", APPEND_DAY, day.layer.topic_id)
    append_us = day_start_us(date.fromisoformat(APPEND_DAY))
    day.execute(
        "UPDATE batch.files SET dt = %s, min_append_us = %s, max_append_us = %s WHERE topic_id = %s",
        *(APPEND_DAY, append_us, append_us, day.layer.topic_id),
    )


def retire(*arguments: str) -> dict[str, Any]:
    command = ["retire", "--before", AFTER, "--json", *arguments]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    # Other tests may have left older decisions, whose days are not final.
    assert result.exit_code == (0 if all(each["retired"] for each in json.loads(result.stdout)["append_days"]) else 1)
    [found] = [each for each in json.loads(result.stdout)["append_days"] if each["day"] == APPEND_DAY]
    assert isinstance(found, dict)
    return found


def state_of(day: DayUnderTest) -> list[tuple[Any, ...]]:
    return day.execute("SELECT state, revision, late_after FROM serving.day_states WHERE topic = %s", day.layer.topic)


def lines_of(day: DayUnderTest) -> list[str]:
    lines: list[str] = []
    assert days_to_reconcile(day.settings, date(2100, 1, 1), lines.append) == []
    return lines


@pytest.mark.budget(30)
def test_a_retired_day_keeps_its_results_and_counts_what_comes_later(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(60)))
    day.send(comments([100 + 14_400], minute=None))  # the watermark follows: the day is closed
    day.archive()
    append_earlier(day)
    waiting = {"topic": day.layer.topic, "day": DAY.isoformat()}
    listed = retire("--yes")
    assert (listed["rows"], listed["retired"]) == (61, False)
    assert waiting in listed["open_days"]

    for each in day.needed():
        day.reconcile(each)
    before = day.run_rows("runs")
    assert retire()["open_days"] == []
    assert day.execute("SELECT to_regclass('speed.decisions_20240229') IS NOT NULL") == [(True,)]
    assert retire("--yes", "--reason", "a week is kept")["retired"]
    assert day.execute("SELECT to_regclass('speed.decisions_20240229') IS NOT NULL") == [(False,)]
    assert day.execute(
        "SELECT rows, reason FROM speed.retired_days WHERE append_day = %s ORDER BY retired_us DESC LIMIT 1", APPEND_DAY
    ) == [(61, "a week is kept")]
    assert state_of(day) == [("frozen", 1, 0)] * 2

    day.send(comments(range(900, 903), minute=3))
    day.archive()
    assert lines_of(day) == [f"{DAY} is frozen, and 3 comments of it came after its last run"]
    report = day.reconcile()
    assert (report.state, report.revision, report.is_sound) == ("final", 1, True)
    assert report.frozen is not None
    assert report.frozen.late_after == 3
    assert "append day 2024-02-29 were retired: a week is kept" in report.frozen.reason
    assert (day.run_rows("runs"), sorted(state_of(day))) == (before, [("frozen", 1, 0), ("frozen", 1, 3)])


@pytest.mark.budget(30)
def test_a_day_that_is_being_reconciled_is_not_retired_and_a_detached_table_stays(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(20)))
    day.send(comments([100 + 14_400], minute=None))
    day.archive()
    append_earlier(day)
    for each in day.needed():
        day.reconcile(each)
    with connected(day.layer.database_url) as connection:
        append_day, after = date.fromisoformat(APPEND_DAY), date.fromisoformat(AFTER)
        [chosen] = [each for each in find_append_days(connection, after, 100_000) if each.day == append_day]
        with (
            connected(day.layer.database_url) as reconciling,
            day_lock(reconciling, day.layer.topic, DAY, lambda line: None),
            pytest.raises(TableLocked, match=f"{DAY} of {day.layer.topic}: it is being reconciled"),
        ):
            retire_day(connection, chosen, "a test")
        assert sorted(state_of(day)) == [("final", 1, 0)] * 2
        # A run that ended after the days were listed has found something.
        day.execute("UPDATE batch.runs SET state = 'provisional' WHERE topic = %s AND day = %s", day.layer.topic, DAY)
        with pytest.raises(ConfigurationError, match="not final"):
            retire_day(connection, chosen, "a test")
        day.execute("UPDATE batch.runs SET state = 'final' WHERE topic = %s AND day = %s", day.layer.topic, DAY)
        # The rows are in DEFAULT, and an operator has kept a detached partition.
        day.execute("ALTER TABLE speed.decisions DETACH PARTITION speed.decisions_20240229")
        day.execute("INSERT INTO speed.decisions SELECT * FROM speed.decisions_20240229")
        retire_day(connection, chosen, "a test")
    assert day.execute("SELECT count(*) FROM speed.decisions_20240229") == [(21,)]
    assert day.execute("SELECT count(*) FROM speed.decisions WHERE topic_id = %s", day.layer.topic_id) == [(0,)]
    day.execute("DROP TABLE speed.decisions_20240229")


@pytest.mark.budget(20)
def test_a_final_day_whose_partition_was_dropped_by_hand_is_frozen_and_another_is_lost(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(30)))
    day.send(comments([100 + 14_400]))
    day.archive()
    append_earlier(day)
    assert day.reconcile().state == "final"
    day.execute("DROP TABLE speed.decisions_20240229")
    day.send(comments(range(900, 902), minute=3))
    day.archive()
    report = day.reconcile()
    assert report.frozen is not None
    assert "were dropped without `moderation retire`" in report.frozen.reason
    assert (report.frozen.late_after, report.causes["lost"], report.revision) == (2, 0, 1)
    # The next day had no final run before: its decision is lost.
    [other] = day.needed()
    assert day.reconcile(other).causes["lost"] == 1
