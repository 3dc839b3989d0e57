"""``moderation archive``, ``lake status``, ``lake verify`` and ``accept-gap --lake`` on real servers."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import psycopg
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from cli.main import app
from local.stack.attention import attention
from local.stack.wait import wait_until
from local.stack.worker import settings_environment
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.log_sizes import log_sizes
from moderation.adapters.kafka.topics import RETENTION_MS
from moderation.errors import TopicRefused
from stream.worker import metrics
from stream.worker.archive_watch import show_archive_delays
from tests.support.lakes import LakeUnderTest, plain
from tests.support.topic_settings import configure_topic, set_timestamp_type
from tests.support.workers import comments


@pytest.fixture
def commanded_lake(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> LakeUnderTest:
    """Lake that commands use because of the environment."""
    for key, value in settings_environment(lake.settings).items():
        monkeypatch.setenv(key, value)
    return lake


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def answer(*arguments: str, exit_code: int = 0) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_archive_reports_its_work_and_status_the_content_of_the_lake(commanded_lake: LakeUnderTest) -> None:
    lake = commanded_lake
    assert "nothing is archived" in run("lake", "status").stdout
    lake.produce(plain(comments(200)))
    done = answer("archive", "--topic", "comments")
    assert done.keys() == {"topics", "files", "rows", "bytes", "seconds", "skipped"}
    assert (done["rows"], done["files"]) == (200, 4)
    (topic,) = done["topics"]
    assert (topic["topic"], topic["topic_id"]) == (lake.topic, str(lake.topic_id))
    assert {part["partition"]: part["next_offset"] for part in topic["partitions"]} == lake.ends()
    assert topic["partitions"][0].keys() == {
        *("partition", "outcome", "first_offset", "next_offset", "files", "rows", "bytes", "note", "unparsed"),
        *("dead_letters", "seconds_left"),
    }
    week_seconds = RETENTION_MS / 1_000
    assert all(week_seconds - 600 < part["seconds_left"] <= week_seconds for part in topic["partitions"])
    assert run("archive").stdout.count("nothing new") == 8

    held = answer("lake", "status")
    assert held.keys() == {"lake_url", "sources", "files", "rows", "bytes", "orphans", "missing", "retention"}
    assert {(each["waiting"], each["seconds_left"]) for each in held["retention"]} == {(0, None)}
    assert (held["files"], held["rows"], held["bytes"]) == (4, 200, done["bytes"])
    assert (held["orphans"], held["missing"]) == ([], [])
    assert {each["partition"]: (each["first_offset"], each["next_offset"]) for each in held["sources"]} == {
        partition: (0, end) for partition, end in lake.ends().items()
    }
    checked = answer("lake", "verify")
    assert {name: checked.get(name, held["retention"]) for name in held} == held
    assert (checked["check"], checked["defects"]) == ("digest", [])
    assert "the lake is whole: 4 files checked" in run("lake", "verify").stdout


def test_verify_names_every_damaged_or_missing_file_and_ends_with_3(commanded_lake: LakeUnderTest) -> None:
    lake = commanded_lake
    lake.produce(plain(comments(200)))
    answer("archive")
    flipped, truncated, missing, _ = sorted(lake.files())
    content = (lake.folder / flipped).read_bytes()
    (lake.folder / flipped).write_bytes(content[:99] + bytes([content[99] ^ 1]) + content[100:])
    (lake.folder / truncated).write_bytes((lake.folder / truncated).read_bytes()[:-50])
    (lake.folder / missing).unlink()
    found = answer("lake", "verify", exit_code=3)
    causes = {each["path"]: each["cause"] for each in found["defects"]}
    assert causes.keys() == {flipped, truncated, missing}
    assert causes[flipped].startswith("its SHA-256 is")
    assert "bytes, the manifest says" in causes[truncated]
    assert causes[missing] == "it is missing"
    quick = answer("lake", "verify", "--quick", exit_code=3)
    assert {each["path"] for each in quick["defects"]} == {truncated, missing}
    shown = run("lake", "verify")
    assert shown.exit_code == 3
    assert f"{missing}: it is missing" in shown.stdout
    assert "is whole" not in shown.stdout


def test_orphans_are_listed_and_are_not_defects(commanded_lake: LakeUnderTest) -> None:
    lake = commanded_lake
    lake.produce(plain(comments(20)))
    answer("archive")
    folder = lake.folder / lake.topic
    (folder / "_temporary").mkdir(exist_ok=True)
    (folder / "_temporary" / "left.parquet").write_bytes(b"half")
    (folder / "dt=2026-11-01").mkdir()
    (folder / "dt=2026-11-01" / "left.parquet").write_bytes(b"whole")
    assert answer("lake", "verify")["orphans"] == [
        {"path": f"{lake.topic}/_temporary/left.parquet", "bytes": 4, "temporary": True},
        {"path": f"{lake.topic}/dt=2026-11-01/left.parquet", "bytes": 5, "temporary": False},
    ]
    assert "no reader sees it" in run("lake", "status").stdout


def test_missing_offsets_that_are_not_accepted_are_a_defect(commanded_lake: LakeUnderTest) -> None:
    lake = commanded_lake
    lake.produce(plain(comments(600)))
    lake.archive()
    middle = next(file for file in lake.inspect().manifest if file.topic_partition.partition == 0 and file.first_offset)
    following = [file for file in lake.inspect().manifest if file.first_offset == middle.next_offset]
    assert following
    with psycopg.connect(lake.database_url) as connection:
        connection.execute("DELETE FROM batch.files WHERE path = %s", (middle.path,))
    (hole,) = answer("lake", "verify", exit_code=3)["missing"]
    assert (hole["first_offset"], hole["next_offset"]) == (middle.first_offset, middle.next_offset)
    assert not hole["explained"]
    assert "the loss is not accepted" in run("lake", "status").stdout


def test_offsets_lost_to_retention_are_shown_then_accepted_and_the_archive_continues(
    commanded_lake: LakeUnderTest,
) -> None:
    lake = commanded_lake
    nothing = {"gaps": [], "accepted": False}
    assert answer("accept-gap", "--lake") == nothing
    lake.produce(plain(comments(100)))
    answer("archive")
    ends = lake.ends()
    lake.produce([("k", b"one", [])] * 3, name="actions")
    answer("archive")
    lake.produce(plain(comments(100, start=100)))
    lake.produce([("k", b"two", [])] * 4, name="actions")
    held = {each["partition"]: each for each in answer("lake", "status")["sources"] if "actions" in each["topic"]}
    (partition,) = held
    lake.delete_records({0: ends[0] + 2})
    lake.delete_records({partition: 5}, name="actions")
    expected = [
        {"topic": lake.topic, "partition": 0, "first_offset": ends[0], "next_offset": ends[0] + 2},
        {"topic": f"{lake.prefix}actions", "partition": partition, "first_offset": 3, "next_offset": 5},
    ]
    with pytest.raises(TopicRefused, match="2 topics or partitions"):
        run("archive")
    assert answer("accept-gap", "--lake", exit_code=1) == {"gaps": expected, "accepted": False}
    shown = run("accept-gap", "--lake")
    assert shown.exit_code == 1
    assert f"offsets [{ends[0]}, {ends[0] + 2}) are gone and not in the lake, 2 records" in shown.stdout
    with pytest.raises(TopicRefused, match="2 topics or partitions"):
        run("archive")

    assert answer("accept-gap", "--lake", "--yes", "--reason", "a long holiday") == {
        "gaps": expected,
        "accepted": True,
    }
    assert answer("accept-gap", "--lake") == nothing
    answer("archive")
    holes = answer("lake", "verify")["missing"]
    assert [(hole["first_offset"], hole["next_offset"], hole["explained"]) for hole in holes] == [
        (ends[0], ends[0] + 2, True),
        (3, 5, True),
    ]
    assert "accepted as lost" in run("lake", "status").stdout


def keep_for(lake: LakeUnderTest, retention_ms: int, name: str = "retention.ms") -> None:
    """Set the retention of topic comments."""
    configure_topic(kafka_of(lake.settings), lake.topic, {name: str(retention_ms)})


def prevent_deletion(lake: LakeUnderTest, start: int) -> None:
    """Send a comment of the next hour to each partition: brokers delete a segment when its newest record is too old."""

    def note(error: object, message: Message) -> None:
        assert error is None, error
        kinds.add(message.timestamp()[0])

    kinds: set[int] = set()
    set_timestamp_type(kafka_of(lake.settings), lake.topic, "CreateTime")
    producer = Producer(kafka_of(lake.settings).librdkafka({"log_level": 2}))
    next_hour_ms = round((time.time() + 3_000) * 1_000)
    for partition, (key, value, headers) in enumerate(plain(comments(len(lake.ends()), start=start))):
        producer.produce(lake.topic, value, key, partition, timestamp=next_hour_ms, headers=headers, on_delivery=note)  # type: ignore[arg-type]
    assert producer.flush(60) == 0
    assert kinds == {TIMESTAMP_CREATE_TIME}
    set_timestamp_type(kafka_of(lake.settings), lake.topic, "LogAppendTime")


def used_ratios(lake: LakeUnderTest) -> dict[str, float]:
    """Return the worker's metric for topic comments by partition."""
    asyncio.run(show_archive_delays(lake.settings))
    (family,) = metrics.ARCHIVE_RETENTION_USED.collect()
    return {
        sample.labels["partition"]: sample.value for sample in family.samples if sample.labels["topic"] == lake.topic
    }


@pytest.mark.budget(20)
def test_records_that_retention_may_delete_before_they_are_archived_are_named(commanded_lake: LakeUnderTest) -> None:
    lake = commanded_lake
    lake.produce(plain(comments(40)))
    answer("archive")
    archived = lake.ends()
    assert set(used_ratios(lake).values()) == {0.0}

    lake.produce(plain(comments(40, start=40)))
    began = time.time()
    waiting = [each for each in answer("lake", "status")["retention"] if each["topic"] == lake.topic]
    assert {each["partition"]: each["next_offset"] for each in waiting} == archived
    assert sum(each["waiting"] for each in waiting) == 40
    assert all(abs(each["append_us"] / 1e6 - began) < 60 for each in waiting)
    assert all(RETENTION_MS / 1e3 - 120 < each["seconds_left"] <= RETENTION_MS / 1e3 for each in waiting)
    assert not any("are not archived" in each for each in attention(lake.settings))

    prevent_deletion(lake, start=80)
    keep_for(lake, 1_000)
    wait_until(lambda: min(used_ratios(lake).values()) > 1, seconds=10, description="records older than a second")
    time_is_up = [each for each in attention(lake.settings) if "are not archived" in each]
    assert len(time_is_up) == len(archived)
    assert "may delete the oldest in 0.0 h; `moderation archive` archives them" in time_is_up[0]
    assert "may delete the oldest at any time" in run("lake", "status").stdout

    keep_for(lake, -1)
    unlimited = [each for each in answer("lake", "status")["retention"] if each["topic"] == lake.topic]
    assert {(each["seconds_left"], each["retention_ms"]) for each in unlimited} == {(None, None)}
    assert set(used_ratios(lake).values()) == {0.0}
    assert not any("are not archived" in each for each in attention(lake.settings))

    # By size: named before the broker deletes anything. Half of the records wait, so half of the log's size counts.
    sizes = log_sizes(kafka_of(lake.settings), lake.topic, sorted(archived))
    assert sizes.keys() == archived.keys()
    assert min(sizes.values()) > 100
    keep_for(lake, 100_000_000, "retention.bytes")
    assert max(used_ratios(lake).values()) < 0.001
    assert not any("are not archived" in each for each in attention(lake.settings))
    keep_for(lake, min(sizes.values()) // 4, "retention.bytes")
    assert min(used_ratios(lake).values()) > 1
    admin = AdminClient(kafka_of(lake.settings).librdkafka({"log_level": 2}))
    for future in admin.delete_records([TopicPartition(lake.topic, p, end) for p, end in archived.items()]).values():
        future.result(30)
    assert min(used_ratios(lake).values()) > 1
    full = [each for each in attention(lake.settings) if "are not archived" in each]
    assert len(full) == len(archived)
    assert re.search(r"may delete the oldest soon: they take \d{3,}% of its limit by size \(retention.bytes\)", full[0])
    keep_for(lake, -1, "retention.bytes")

    keep_for(lake, 1_000)
    done = answer("archive", "--topic", "comments")
    assert done["rows"] == 40 + len(archived)
    assert all(part["seconds_left"] < 0 for part in done["topics"][0]["partitions"])
    assert set(used_ratios(lake).values()) == {0.0}
