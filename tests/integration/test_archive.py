"""Archiving from a real broker: every offset once, despite kills, other archivers, retention and re-created topics."""

from __future__ import annotations

import random
import re
import signal
import threading
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from confluent_kafka import KafkaException

from batch.archive.partition import ArchivePoint
from batch.archive.report import PartitionOutcome
from batch.archive.run import archive_topics
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topic_reader import LogRecord, open_topic
from moderation.adapters.kafka.topics import ensure_topics
from moderation.adapters.lake.manifest import RangeTaken, add_file, files
from moderation.adapters.lake.reader import opened_lake
from moderation.adapters.lake.verification import check_file
from moderation.adapters.sql.connection import connected
from moderation.contracts import Hole
from moderation.errors import ConfigurationError, LakeDamaged, TopicRefused
from moderation.offsets import TopicPartition
from tests.support.lakes import SMALL, LakeUnderTest, Record, plain
from tests.support.topic_settings import set_timestamp_type
from tests.support.workers import comments


def odd() -> list[Record]:
    return [
        ("replayed", b'{"a": 1}', [("replay_of", b"topic/1/2"), ("replay_of", b"again"), ("empty", None)]),
        ("tombstone", None, []),
        (None, b"\xff\xfe\x00", []),
        ("empty", b"", [("x", b"")]),
    ]


def test_every_record_is_archived_once_with_all_its_bytes_and_a_second_run_writes_nothing(lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(300)))
    lake.produce(odd())
    lake.produce([("c1", b"no action", [])], name="actions")
    report = lake.archive()
    assert (report.total("rows"), len(report.topics)) == (305, 2)
    assert lake.content() == lake.sent
    found = lake.inspect()
    assert found.is_whole
    assert not found.orphans
    comment_tiles = [each for each in found.partitions if each.topic_partition.topic == lake.topic]
    assert {each.topic_partition.partition: (each.first_offset, each.next_offset) for each in comment_tiles} == {
        partition: (0, end) for partition, end in lake.ends().items()
    }
    assert all(each.files > 1 for each in comment_tiles)

    before = lake.files()
    again = lake.archive()
    assert (again.total("files"), lake.files()) == (0, before)
    assert {each.outcome for topic in again.topics for each in topic.partitions} == {PartitionOutcome.NOTHING_NEW}

    lake.produce(plain(comments(50, start=300)))
    assert lake.archive().total("rows") == 50
    assert lake.content() == lake.sent
    assert lake.files().items() > before.items()


def test_a_run_stops_before_the_offset_it_is_given_and_takes_the_client_settings_of_a_connection(
    lake: LakeUnderTest,
) -> None:
    lake.produce(plain(comments(200)))
    connection = {
        "bootstrap.servers": lake.settings.kafka_bootstrap,
        "group.id": "somebody",
        "auto.offset.reset": "latest",
        "enable.auto.commit": True,
    }
    elsewhere = lake.settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})
    report = archive_topics(elsewhere, kafka=connection, topics=["comments"], end_offsets={"comments": {0: 7, 1: 0}})
    ends = {each.partition: each.next_offset for each in report.topics[0].partitions}
    assert ends == {**lake.ends(), 0: 7, 1: 0}
    assert lake.archive().total("rows") == 200 - report.total("rows")
    assert lake.content() == lake.sent


@pytest.mark.long
def test_the_next_run_completes_the_lake_after_ten_kills(lake: LakeUnderTest) -> None:
    chance = random.Random(7)
    points = ("during_write", "before_rename", "before_manifest")
    for number in range(10):
        lake.produce(plain(comments(300, start=number * 300)))
        point = points[number % len(points)]
        assert lake.archive_and_die(point, chance.randint(1, 6)) == -signal.SIGKILL
        found = lake.inspect()
        assert found.is_whole, point
        assert found.orphans, point  # each of these instants leaves a file, and no reader sees it
        assert lake.content().items() <= lake.sent.items()
    lake.archive()
    found = lake.inspect()
    assert found.is_whole
    assert not found.orphans
    assert not found.missing
    assert lake.content() == lake.sent
    before = lake.files()
    assert lake.archive().total("files") == 0
    assert lake.files() == before


def test_a_file_named_but_not_in_the_manifest_is_written_again_under_the_same_name(lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(200)))
    assert lake.archive_and_die("before_manifest", 1) == -signal.SIGKILL
    (orphan,) = lake.inspect().orphans
    lake.archive()
    assert orphan.path in {file.path for file in lake.inspect().manifest}
    assert not lake.inspect().orphans


def test_a_named_orphan_is_removed_once_its_offsets_are_in_the_lake_and_not_before(lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(100)))
    assert lake.archive_and_die("before_manifest", 1) == -signal.SIGKILL
    (orphan,) = lake.inspect().orphans
    held = int(orphan.path.split("-")[-3]) + 1
    partition = int(orphan.path.split("-")[-5])
    lake.archive(end_offsets={"comments": {partition: held - 1}})
    assert [each.path for each in lake.inspect().orphans] == [orphan.path]  # its last record is nowhere else
    lake.archive()
    assert not lake.inspect().orphans
    assert lake.content() == lake.sent


def test_an_archiver_that_finds_another_at_work_leaves_the_partition_to_it_and_names_it(lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(300)))
    at_work, go_on = threading.Event(), threading.Event()

    def reach(point: ArchivePoint) -> None:
        if point == "before_manifest" and not at_work.is_set():
            at_work.set()
            assert go_on.wait(60)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(archive_topics, lake.settings, limits=SMALL, fault_point=reach)
        assert at_work.wait(60)
        second = archive_topics(lake.settings, limits=SMALL)
        go_on.set()
        won = first.result(60)
    left, *others = second.topics[0].partitions
    assert left.outcome is PartitionOutcome.LEFT_TO_OTHER
    assert left.note.startswith("moderation archive (backend ")
    assert {each.outcome for each in others} == {PartitionOutcome.ARCHIVED}
    assert won.topics[0].partitions[0].outcome is PartitionOutcome.ARCHIVED
    assert won.total("rows") + second.total("rows") == 300
    assert lake.content() == lake.sent
    assert not lake.inspect().orphans


def test_two_archivers_that_start_together_double_nothing(lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(1_000)))
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(archive_topics, lake.settings, limits=SMALL) for _ in range(2)]
        rows = sum(each.result(120).total("rows") for each in done)
    rows += lake.archive().total("rows")  # what each left to the other while looking at the same partition
    assert rows == 1_000
    assert lake.content() == lake.sent
    found = lake.inspect()
    assert found.is_whole
    assert not found.orphans


def test_an_archiver_that_lost_its_lock_is_stopped_by_the_constraint_and_takes_its_file_away(
    lake: LakeUnderTest,
) -> None:
    lake.produce(plain(comments(300)))
    rival = LakeUnderTest(lake.settings.model_copy(update={"lake_url": str(lake.folder.parent / "copy")}))
    rival.archive(end_offsets={"comments": {0: 25, 1: 0, 2: 0, 3: 0}})
    with connected(lake.database_url) as connection:
        (theirs,) = files(connection, topic=lake.topic)
        connection.execute("DELETE FROM batch.files WHERE path = %s", (theirs.path,))

    def reach(point: ArchivePoint) -> None:
        # The other archiver ran while this one assumed that it had the lock.
        if point == "before_manifest":
            with connected(lake.database_url) as connection:
                if not files(connection, topic=lake.topic):
                    add_file(connection, theirs, 1)

    report = archive_topics(lake.settings, limits=SMALL, fault_point=reach)
    beaten, *others = report.topics[0].partitions
    assert (beaten.outcome, beaten.rows, beaten.next_offset) == (PartitionOutcome.OVERTAKEN, 0, 25)
    assert "came first" in beaten.note
    assert {each.outcome for each in others} == {PartitionOutcome.ARCHIVED}
    assert not [path for path in lake.files() if "comments-0-" in path]


def test_the_manifest_refuses_ranges_that_overlap_and_only_those(lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(20)))
    lake.archive()
    with connected(lake.database_url) as connection:
        model = files(connection, topic=lake.topic)[0]

        def add(source: TopicPartition, first: int, following: int) -> None:
            file = replace(
                model,
                path=uuid.uuid4().hex,
                topic_partition=source,
                first_offset=first,
                next_offset=following,
                rows=following - first,
            )
            add_file(connection, file, 1)

        one = TopicPartition(lake.topic, uuid.uuid4(), 0)
        add(one, 10, 20)
        for first, following in ((10, 20), (0, 11), (19, 20), (12, 13), (0, 100)):
            with pytest.raises(RangeTaken):
                add(one, first, following)
        add(one, 0, 10)
        add(one, 20, 2**62)
        add(replace(one, partition=1), 10, 20)
        add(replace(one, topic_id=uuid.uuid4()), 10, 20)
        with pytest.raises(psycopg.errors.CheckViolation):
            add(replace(one, partition=2), 5, 5)


def test_lost_offsets_are_named_and_the_other_partitions_are_archived(
    lake: LakeUnderTest,
) -> None:
    lake.produce(plain(comments(200)))
    lake.archive()
    ends = lake.ends()
    lake.produce(plain(comments(200, start=200)))
    lake.delete_records({1: ends[1] + 5})
    for _ in range(2):
        with pytest.raises(TopicRefused, match=rf"partition 1: .*\[{ends[1]}, {ends[1] + 5}\) are gone") as raised:
            lake.archive()
    assert "accept-gap --lake" in raised.value.remedy
    held = {each.topic_partition.partition: each.next_offset for each in lake.inspect().partitions}
    assert held == {**lake.ends(), 1: ends[1]}


def offsets(found: Iterable[LogRecord | Hole]) -> list[int]:
    return [each.offset for each in found if isinstance(each, LogRecord)]


def test_retention_during_a_read_is_reported_and_nothing_is_skipped(lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(100)))
    end = lake.ends()[0]
    with open_topic(kafka_of(lake.settings), lake.topic) as log:
        assert offsets(log.records(0, 2, 5)) == [2, 3, 4]
        lake.delete_records({0: 4})
        with pytest.raises(TopicRefused, match=r"partition 0: offsets \[2, 4\) are gone"):
            next(log.records(0, 2, end))
        assert offsets(log.records(0, 4, end)) == list(range(4, end))


def test_the_archive_continues_after_a_gap_that_the_speed_layer_accepted(lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(200)))
    lake.archive()
    ends = lake.ends()
    lake.produce(plain(comments(200, start=200)))
    lake.delete_records({2: ends[2] + 3})
    with psycopg.connect(lake.database_url) as connection:
        connection.execute(
            "INSERT INTO speed.gaps (topic_id, partition, first_offset, next_offset, accepted_us, reason) "
            "VALUES (%s, 2, %s, %s, 1, 'for this test')",
            (lake.topic_id, ends[2] - 1, ends[2] + 3),
        )
    lake.archive()
    found = lake.inspect()
    (hole,) = found.missing
    assert (hole.topic_partition.partition, hole.first_offset, hole.next_offset) == (2, ends[2], ends[2] + 3)
    assert found.is_whole
    gone = {(2, ends[2] + n) for n in range(3)}
    assert lake.content() == {place: record for place, record in lake.sent.items() if place not in gone}


def test_a_recreated_topic_is_archived_separately_from_the_old_one(lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(100)))
    lake.archive()
    old_id, old_files = lake.topic_id, lake.files()
    lake.delete_topic()
    ensure_topics(kafka_of(lake.settings), prefix=lake.prefix)
    lake.produce(plain(comments(100)))
    assert lake.archive().total("rows") == 100
    found = lake.inspect()
    assert found.is_whole
    assert {each.topic_partition.topic_id for each in found.partitions} == {old_id, lake.topic_id}
    assert lake.files().items() > old_files.items()


def test_a_topic_with_the_producers_time_is_refused_by_name_until_it_is_set_back(lake: LakeUnderTest) -> None:
    kafka = kafka_of(lake.settings)
    lake.produce(plain(comments(10)))
    set_timestamp_type(kafka, lake.topic, "CreateTime")
    lake.produce([("k", b"v", [])])
    with pytest.raises(TopicRefused, match=f"{lake.topic}: message.timestamp.type is CreateTime.* Set it back"):
        lake.archive()
    assert not lake.files()
    set_timestamp_type(kafka, lake.topic, "LogAppendTime")
    lake.produce(plain(comments(10)))
    report = lake.archive()
    assert report.total("rows") == 21
    notes = [part.note for each in report.topics for part in each.partitions if part.note]
    assert len(notes) == 1
    assert re.match(r"records of offsets \[\d+, \d+\] have times that producers set", notes[0])


def test_files_of_a_day_and_of_a_range_are_handed_out_checked(lake: LakeUnderTest) -> None:
    lake.produce(plain(comments(300)))
    lake.archive()
    with opened_lake(lake.settings) as opened:
        whole = opened.files_of_range("comments", lake.topic_id, 0, 0, lake.ends()[0])
        assert len(whole) > 1
        inner = opened.files_of_range("comments", lake.topic_id, 0, whole[1].first_offset, whole[1].first_offset + 1)
        assert inner == [whole[1]]
        day = whole[0].day
        assert sum(file.rows for file in opened.files_of_day("comments", day)) == 300
        assert opened.files_of_day("comments", day, topic_id=uuid.uuid4()) == []
        end = lake.ends()[0]
        with pytest.raises(LakeDamaged, match=rf"offsets \[{end}, {end + 4}\) are in no file. Archive first"):
            opened.files_of_range("comments", lake.topic_id, 0, 0, end + 4)
        opened.store.remove(whole[1].path)
        for read in (
            lambda: opened.files_of_day("comments", day, check="size"),
            lambda: opened.files_of_range("comments", lake.topic_id, 0, 0, end),
            lambda: check_file(opened.store, whole[1]),
        ):
            with pytest.raises(LakeDamaged, match=whole[1].path):
                read()


def test_missing_files_and_topics_are_refused_with_a_message(lake: LakeUnderTest) -> None:
    with pytest.raises(ConfigurationError, match="topic nosuch: it is not archived"):
        archive_topics(lake.settings, topics=["nosuch"])
    with open_topic(kafka_of(lake.settings), lake.topic) as log:
        lake.delete_topic()
        with pytest.raises(KafkaException, match="Unknown topic"):
            log.ranges()
    with pytest.raises(ConfigurationError, match=f"topic {lake.topic}: it does not exist"):
        archive_topics(lake.settings)
