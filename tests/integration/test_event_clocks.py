"""Event times far ahead: their effect on the watermark, and the operator's reset, on real servers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.lake.reader import opened_lake
from moderation.contracts import Comment, to_json
from moderation.errors import TopicRefused
from tests.support.reconcile_day import DAY, DAY_US, MINUTE_US, DayUnderTest
from tests.support.topic_settings import set_timestamp_type
from tests.support.workers import Record, SpeedLayerUnderTest

KEY = "one partition"


@pytest.fixture
def day(commanded: SpeedLayerUnderTest, tmp_path: Path) -> DayUnderTest:
    return DayUnderTest(commanded, tmp_path)


def at(comment_id: str, minute: float, body: str = "Nice study, thanks.") -> Record:
    """Return a comment of the day; all are in one partition."""
    return KEY, to_json(Comment(comment_id, "science", body, DAY_US + int(minute * MINUTE_US)))


def fates(day: DayUnderTest) -> dict[str, str]:
    rows = day.execute(
        'SELECT comment_id, fate FROM speed.decisions WHERE topic_id = %s ORDER BY partition, "offset"',
        day.layer.topic_id,
    )
    return dict(rows)


def maximum(day: DayUnderTest) -> tuple[float | None, float | None, str | None]:
    """Return running maximum and candidate in minutes of the day, and the candidate's comment id."""
    ((newest_us, candidate_us, comment_id),) = day.execute(
        "SELECT newest_event_us, candidate_event_us, candidate_comment_id FROM speed.source_offsets "
        "WHERE topic_id = %s AND newest_event_us IS NOT NULL",
        day.layer.topic_id,
    )
    return (
        (newest_us - DAY_US) / MINUTE_US,
        None if candidate_us is None else (candidate_us - DAY_US) / MINUTE_US,
        comment_id,
    )


def require_sound(day: DayUnderTest, causes: dict[str, int], *, rows: int) -> None:
    """Assert that the oracle agrees and the day reconciles with these causes and no defect."""
    found = day.layer.comparison()
    assert found.is_exact, found.examples
    day.archive()
    report = day.reconcile(DAY)
    assert report.is_sound
    assert {cause: count for cause, count in report.causes.items() if count} == causes
    assert report.batch_comments == rows


@pytest.mark.budget(60)
def test_a_comment_hours_ahead_moves_the_watermark_only_once_another_confirms_it(day: DayUnderTest) -> None:
    worker = day.layer.start_worker()
    day.send([at("a", 0), at("ahead", 300), at("ahead", 300), at("ahead", 280, "An edit."), at("b", 1), at("c", 20)])
    assert maximum(day) == (20, 280, "ahead")
    day.archive()
    with opened_lake(day.settings) as lake:
        assert lake.newest_event_us("comments") == DAY_US + 20 * MINUTE_US
    worker.kill()
    worker.wait(30)
    day.layer.start_worker()  # it goes on with the candidate that the ledger has
    day.send([at("d", 11), at("e", 2), at("f", 290), at("g", 30), at("h", 289)])
    assert maximum(day) == (290, None, None)
    assert fates(day) == {
        **dict.fromkeys(("a", "b", "c", "d", "f", "h"), "counted"),
        "ahead": "counted",
        **dict.fromkeys(("e", "g"), "late"),
    }
    assert Counter(
        fate for (fate,) in day.execute("SELECT fate FROM speed.decisions WHERE topic_id = %s", day.layer.topic_id)
    ) == {"counted": 8, "late": 2, "duplicate": 1}
    require_sound(day, {"late": 2}, rows=10)


@pytest.mark.long
@pytest.mark.budget(60)
def test_offsets_that_version_1_decided_keep_the_plain_maximum(day: DayUnderTest) -> None:
    first = day.layer.start_worker(("tests.support.first_rules_worker",))
    day.send([at("a", 0), at("b", 300), at("c", 1)])
    day.archive()
    first.kill()
    first.wait(30)
    assert fates(day) == {"a": "counted", "b": "counted", "c": "late"}
    require_sound(day, {"late": 1}, rows=3)
    day.layer.start_worker()
    day.send([at("d", 2), at("e", 700), at("f", 301), at("g", 299)])
    assert maximum(day) == (301, 700, "e")
    require_sound(day, {"late": 2}, rows=7)


@pytest.mark.long
@pytest.mark.budget(60)
def test_a_topic_whose_times_producers_set_is_refused_while_the_worker_runs_and_at_its_start(
    day: DayUnderTest,
) -> None:
    worker, kafka = day.layer.start_worker(), kafka_of(day.settings)
    day.send([at("a", 0), at("b", 1)])
    set_timestamp_type(kafka, day.layer.topic, "CreateTime")
    assert worker.wait(30) == 78
    assert day.layer.start_worker().wait(60) == 78
    for number in (0, 1):
        log = (day.layer.folder / f"worker-{number}.log").read_text()
        assert f"topic {day.layer.topic}: message.timestamp.type is CreateTime" in log
    set_timestamp_type(kafka, day.layer.topic, "LogAppendTime")
    day.layer.start_worker()
    day.send([at("c", 2)])
    require_sound(day, {}, rows=3)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["reset-watermark", *arguments], catch_exceptions=False)


@pytest.mark.long
@pytest.mark.budget(100)
def test_a_reset_applies_from_the_next_offset_on_and_the_day_reconciles(day: DayUnderTest) -> None:
    worker = day.layer.start_worker()
    day.send([at("a", 0), at("b", 20), at("c", 300), at("d", 301), at("e", 25), at("f", 21)])
    assert maximum(day) == (301, None, None)
    assert Counter(fates(day).values()) == {"counted": 4, "late": 2}
    day.archive()
    partition = str(day.layer.delivered[0].partition)
    with pytest.raises(TopicRefused, match="there is no record yet"):
        run(partition)
    done = run(partition, "--to", "2023-11-15T00:30:00Z", "--reason", "two clocks ran ahead", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "partition": int(partition),
        "offset": 6,
        "newest_event_us": DAY_US + 30 * MINUTE_US,
        "previous_event_us": DAY_US + 301 * MINUTE_US,
    }
    # The worker decides the next comments with the old maximum: it must not store them.
    day.layer.produce([at("g", 31), at("b", 20), at("h", 5)])
    assert worker.wait(60) == 75
    assert "`moderation reset-watermark`" in (day.layer.folder / "worker-0.log").read_text()
    day.layer.start_worker()
    day.layer.wait_accounted(9)
    assert maximum(day) == (31, None, None)
    assert fates(day) == {
        **dict.fromkeys(("a", "c", "d", "g"), "counted"),
        **dict.fromkeys(("e", "f", "h"), "late"),
        "b": "duplicate",
    }
    # Without a time: from the next comment on.
    day.layer.stop()
    day.layer.produce([at("i", 3), at("j", 4), at("e", 25)])
    done = run(partition)
    assert "from offset 9 on" in done.output
    day.layer.start_worker()
    day.layer.wait_accounted(12)
    assert {name: fates(day)[name] for name in "ije"} == {"i": "counted", "j": "counted", "e": "counted"}
    # A reset ahead: the batch must apply it to explain why this comment is late.
    day.layer.stop()
    assert run(partition, "--to", "2023-11-15T10:00:00Z").exit_code == 0
    day.layer.start_worker()
    day.send([at("k", 305)])
    assert fates(day)["k"] == "late"
    recorded = day.execute(
        'SELECT "offset", reason FROM speed.watermark_resets WHERE topic_id = %s ORDER BY 1', day.layer.topic_id
    )
    assert recorded == [(6, "two clocks ran ahead"), (9, "none given"), (12, "none given")]
    # The late copy of e counts in the batch, the later one in the ledger.
    require_sound(day, {"late": 4, "duplicate": 1}, rows=11)

    def is_published() -> bool:
        return day.layer.comparison(topics_too=True).is_exact

    wait_until(is_published, seconds=30, description="panes that closed again on their topic", interval_seconds=1)


def test_a_partition_that_no_worker_has_read_yet_has_no_watermark(commanded: SpeedLayerUnderTest) -> None:
    with pytest.raises(TopicRefused, match="no worker has read this partition yet"):
        run("0", "--to", "2023-11-15T00:30:00")


@pytest.mark.parametrize("to", ["yesterday", "2999-01-01T00:00:00", "1960-01-01"])
def test_an_impossible_time_is_refused(commanded: SpeedLayerUnderTest, to: str) -> None:
    done = run("0", "--to", to)
    assert done.exit_code == 2
    assert "--to" in done.output
