from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from batch.reconcile.run import days_to_reconcile, reconcile_day
from batch.reconcile.tasks import days_of_run
from batch.run_interval import RunDates
from cli.main import app
from local.stack.worker import settings_environment
from moderation.contracts import Cause, parse_record
from moderation.datasets.synthetic import Injection, TrafficConfig, generate
from moderation.errors import InvalidRecord
from moderation.timestamps import day_of, now_us
from tests.support.event_time_rules import fates_of
from tests.support.reconcile_day import DAY, DAY_US, MINUTE_US, DayUnderTest, comments
from tests.support.workers import SpeedLayerUnderTest

NAMES_OF_DEFECTS = (*(cause.value for cause in Cause if cause.is_defect), "residual", "not_recomputed")


@pytest.fixture
def day(layer: SpeedLayerUnderTest, tmp_path: Path) -> DayUnderTest:
    return DayUnderTest(layer, tmp_path)


@pytest.mark.budget(30)
def test_a_clean_day_has_no_gap_but_what_was_sent_late_or_twice(day: DayUnderTest) -> None:
    day.layer.start_worker()
    sent = comments(range(400))
    day.send(sent)
    day.send(comments(range(400, 800)))
    late = comments(range(900, 920), minute=1)
    day.send(late)
    day.send(sent[390:400])  # a second copy of records of closed panes is late as well, and no other
    day.send(comments([800, 801]))
    twice = comments([800])
    day.send(twice)
    day.archive()
    report = day.reconcile()
    assert report.defects == dict.fromkeys(NAMES_OF_DEFECTS, 0)
    assert report.causes["late"] == len(late)
    assert {cause for cause, rows in report.causes.items() if rows} == {"late"}
    assert (report.state, report.revision) == ("final", 1)
    assert report.batch_comments == 800 + 20 + 2
    assert report.speed_comments == 800 + 2
    assert day.reconcile().revision == 1
    assert [row[1] for row in day.run_rows("runs")] == [1]
    assert day.execute(
        "SELECT sum(comments), bool_and(state = 'final') FROM serving.tumbling_windows WHERE topic = %s",
        day.layer.topic,
    ) == [(822, True)]
    assert day.execute("SELECT sum(comments) FROM serving.hopping_windows WHERE topic = %s", day.layer.topic) == [
        (12 * 822,)
    ]
    assert DAY.isoformat() == report.fields()["date"]
    assert day.reconcile(day_of(now_us())).state == "provisional"  # today, without a comment


@pytest.mark.parametrize(("table", "reader"), [("speed.source_offsets", "worker"), ("batch.archive_reads", "archive")])
def test_a_day_is_provisional_if_a_reader_stopped_before_its_end(day: DayUnderTest, table: str, reader: str) -> None:
    day.layer.start_worker()
    day.send(comments(range(20)))
    day.archive()
    evening_us = DAY_US + 15 * 60 * MINUTE_US
    # As if it had read the last partition at that time last; nothing is unarchived or unprocessed.
    day.layer.stop()
    day.execute(
        f"UPDATE {table} SET read_to_end_us = %s WHERE topic = %s AND partition = 1", evening_us, day.layer.topic
    )
    stopped = day.reconcile()
    assert (stopped.state, stopped.is_sound, day.needed()) == ("provisional", True, [DAY])
    [reason] = stopped.waits_for
    assert (
        reason
        == f"the {reader} has read topic {day.layer.topic} partition 1 to its end at 2023-11-15 15:00:00 UTC last"
    )
    later_us = DAY_US + 25 * 60 * MINUTE_US
    day.execute(f"UPDATE {table} SET read_to_end_us = %s WHERE topic = %s AND partition = 1", later_us, day.layer.topic)
    assert (day.reconcile().state, day.needed()) == ("final", [])
    assert [row[1:3] for row in day.run_rows("runs")] == [(1, "provisional"), (2, "final")]


@pytest.mark.budget(25)
def test_comments_beyond_the_horizon_are_named_and_their_days_stay_as_they_are(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(0, 100, 10)))
    day.send(comments(range(100 + 14_400, 300 + 14_400)))  # the watermark follows
    next_day = DAY + timedelta(days=1)
    day.archive()
    assert day.needed() == [next_day, DAY]  # the stream counted comments of them, whenever they came
    day.reconcile(DAY)
    day.reconcile(next_day)
    assert day.needed() == []
    day.send(comments(range(900, 903), minute=3))
    day.archive()
    assert day.needed() == [DAY]
    lines: list[str] = []
    near = day.settings.model_copy(update={"reconcile_horizon_days": 30})
    assert days_to_reconcile(near, date(2100, 1, 1), lines.append) == []
    assert [line.partition(". They")[0] for line in lines] == [
        "1 days have comments that came more than 30 days after their end, newest 2023-11-15"
    ]
    assert reconcile_day(near, DAY).causes["late"] == 3  # a person may ask for it
    assert days_to_reconcile(near, date(2100, 1, 1), lines.append) == []
    assert len(lines) == 1


@pytest.mark.budget(20)
def test_a_nightly_run_includes_earlier_days_that_need_it_and_a_manual_run_only_its_days(
    day: DayUnderTest,
) -> None:
    day.layer.start_worker()
    before, after = (comments(range(first, first + 20)) for first in (0, 100 + 10 * 60 * 24))
    day.send(before)
    day.send(after)
    day.archive()
    now = datetime(2023, 11, 18, 2, tzinfo=UTC)
    next_day = DAY + timedelta(days=1)

    def chosen(params: dict[str, object], key: str | None) -> list[date]:
        return days_of_run(day.settings, params, RunDates("manual", now, partition_key=key))

    assert chosen({}, "2023-11-15") == [DAY]
    assert chosen({}, "2023-11-17") == [date(2023, 11, 17), next_day, DAY]
    assert chosen({}, None) == [date(2023, 11, 17), next_day, DAY]
    assert chosen({"day": "2023-11-16"}, "2023-11-17") == [next_day]
    assert chosen({"start": "2023-11-14", "end": "2023-11-17"}, None) == [next_day, DAY, DAY - timedelta(days=1)]
    backfill = RunDates("backfill", now, partition_key="2023-11-17")
    assert days_of_run(day.settings, {}, backfill) == [date(2023, 11, 17)]
    of_a_date = RunDates("manual", now, datetime(2023, 11, 16, tzinfo=UTC))
    assert days_of_run(day.settings, {}, of_a_date) == [next_day]
    day.reconcile(DAY)
    day.reconcile(next_day)
    assert chosen({}, "2023-11-17") == [date(2023, 11, 17)]
    # Only one old day gets more records in the lake.
    day.send(comments([5_000], minute=3))
    day.archive()
    assert chosen({}, "2023-11-17") == [date(2023, 11, 17), DAY]


@pytest.mark.long
@pytest.mark.budget(30)
def test_an_unfinished_day_is_served_from_the_speed_layer_and_reconciled_again(day: DayUnderTest) -> None:
    def windows() -> list[tuple[int, bool]]:
        statement = "SELECT sum(comments), bool_and(state = 'final') FROM serving.tumbling_windows WHERE topic = %s"
        return day.execute(statement, day.layer.topic)

    def begin_at_noon() -> None:
        noon_us = DAY_US + 12 * 60 * MINUTE_US
        day.execute("UPDATE batch.runs SET begun_us = %s WHERE topic = %s", noon_us, day.layer.topic)

    day.layer.start_worker()
    day.send(comments(range(100)))
    day.archive()
    assert (day.reconcile().state, windows(), day.needed()) == ("final", [(100, True)], [])
    begin_at_noon()
    day.send(comments(range(100, 120)))
    assert (windows(), day.needed()) == ([(120, False)], [DAY])
    day.archive()
    assert (day.reconcile().revision, windows(), day.needed()) == (2, [(120, True)], [])
    begin_at_noon()
    assert (windows(), day.needed()) == ([(120, False)], [DAY])
    assert day.reconcile().revision == 2, "equal results"
    assert (windows(), day.needed()) == ([(120, True)], []), "and they were confirmed after the day"


@pytest.mark.long
@pytest.mark.budget(20)
def test_the_command_prints_its_results_and_ends_with_3_on_a_defect(
    day: DayUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = day.layer.start_worker()
    day.send(comments(range(60)))
    day.archive()
    worker.kill()
    worker.wait(30)
    for name, value in settings_environment(day.settings).items():
        monkeypatch.setenv(name, value)
    runner = CliRunner()
    clean = runner.invoke(app, ["reconcile", "--date", DAY.isoformat(), "--json"], catch_exceptions=False)
    assert clean.exit_code == 0
    found = json.loads(clean.stdout)
    assert {"date", "engine", "revision", "state", "panes", "causes", "defects"} <= found.keys()
    assert (found["date"], found["engine"], found["state"]) == (DAY.isoformat(), "duckdb", "final")
    assert list(found["causes"]) == [cause.value for cause in Cause]
    assert found["defects"] == dict.fromkeys(NAMES_OF_DEFECTS, 0)
    day.execute("UPDATE speed.panes SET comments = comments + 1 WHERE topic_id = %s", day.layer.topic_id)
    broken = runner.invoke(app, ["reconcile", "--date", DAY.isoformat()], catch_exceptions=False)
    assert broken.exit_code == 3
    assert "residual" in broken.stdout
    assert "defects" in broken.stdout
    wrong = runner.invoke(app, ["reconcile", "--date", DAY.isoformat(), "--until", "2000-01-01"])
    assert wrong.exit_code == 2


@pytest.mark.long
@pytest.mark.budget(30)
def test_generated_days_have_the_gaps_that_were_put_in_and_no_others(day: DayUnderTest) -> None:
    traffic = TrafficConfig(
        seed=5, days=2, comments_per_day=800, late_share=0.03, duplicate_share=0.03, edit_share=0.02, broken_share=0.02
    )
    arrivals = [arrival for arrival in generate(traffic) if arrival.topic == "comments"]
    day.layer.start_worker()
    day.send([(arrival.key, arrival.value) for arrival in arrivals])
    day.archive()
    injected = Counter(arrival.injected for arrival in arrivals)
    assert (
        min(injected[kind] for kind in (Injection.LATE, Injection.DUPLICATE, Injection.EDITED, Injection.BROKEN)) > 10
    )

    # Late by the event-time rules, computed from the log alone; its first copy counts in the batch.
    comments_of = {hashlib.sha256(arrival.value).hexdigest(): arrival for arrival in arrivals}
    logs: dict[int, list[tuple[int, bytes, str]]] = {}
    for place in sorted(day.layer.delivered, key=lambda each: (each.partition, each.offset)):
        with contextlib.suppress(InvalidRecord):
            found = parse_record(comments_of[place.value_sha256].value, 2**60)
            logs.setdefault(place.partition, []).append((found.event_time_us, found.record_id(), found.comment_id))
    late_by_day: Counter[date] = Counter()
    for log in logs.values():
        seen: set[bytes] = set()
        for (event_time_us, record_id, _), fate in zip(log, fates_of(log), strict=True):
            if record_id not in seen and fate == "late":
                late_by_day[datetime.fromtimestamp(event_time_us / 1e6, UTC).date()] += 1
            seen.add(record_id)
    assert sum(late_by_day.values()) > 10

    days = day.needed()
    assert len(days) >= 2
    for each in days:
        report = day.reconcile(each)
        assert report.is_sound
        assert report.state == "final"
        assert {cause: rows for cause, rows in report.causes.items() if rows} == (
            {"late": late_by_day[each]} if late_by_day[each] else {}
        )
        assert report.batch_comments - report.speed_comments == late_by_day[each]
    assert sum(late_by_day[each] for each in days) == sum(late_by_day.values())


@pytest.mark.budget(20)
def test_provisional_windows_have_the_past_error_of_such_numbers(day: DayUnderTest) -> None:
    day.layer.start_worker()
    day.send(comments(range(50), minute=1))
    day.send(comments([100 + 10 * 60 * 24]))
    # Most were stored in time, the others years later, as recorded.
    most = "mod(abs(hashtext(comment_id)), 4) > 0"
    day.execute(
        f"UPDATE speed.decisions SET stored_us = event_time_us + 1 WHERE topic_id = %s AND {most}", day.layer.topic_id
    )
    day.archive()
    assert day.reconcile().state == "final"
    by_community = day.execute(
        f"SELECT community, (count(*) FILTER (WHERE NOT {most}))::float8 / count(*) FROM speed.decisions "
        "WHERE topic_id = %s AND event_time_us < %s GROUP BY 1",
        day.layer.topic_id,
        DAY_US + 86_400_000_000,
    )
    shares = sorted(share for _, share in by_community)
    assert len(shares) == 2
    assert 0 < shares[0] < shares[1] < 1
    windows = day.execute(
        "SELECT state, error_p50, error_p95 FROM serving.tumbling_windows WHERE topic = %s "
        "ORDER BY start_us, community",
        day.layer.topic,
    )
    assert [window[0] for window in windows] == ["final", "final", "provisional"]
    assert windows[0][1:] == windows[1][1:] == (None, None)
    assert windows[2][1] == pytest.approx(sum(shares) / 2)
    assert windows[2][2] == pytest.approx(shares[0] + 0.95 * (shares[1] - shares[0]))
