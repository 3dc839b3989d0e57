"""Traffic source on a real broker: every record is sent once, to the right and logged position."""

from __future__ import annotations

import hashlib
import logging
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Consumer, TopicPartition

from local.stack.commands import StackInfo
from local.stack.environment import inherited_environment
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import ACTIONS, COMMENTS, ensure_topics
from moderation.contracts import MAX_RECORD_BYTES
from moderation.datasets import recorded
from moderation.datasets.synthetic import Arrival, TrafficConfig
from moderation.errors import ConfigurationError
from moderation.settings import Settings
from stream.exit_codes import REFUSED
from stream.source import (
    AtRate,
    AtRecordedTimes,
    Generated,
    History,
    RefusedRecord,
    SendPlan,
    SendResult,
    read_delivery_log,
    send_all,
)
from stream.source.arrivals import arrivals_of
from stream.source.checkpoint import CHECKPOINT_FILE, load_checkpoint
from stream.source.session import BATCH_MOST_RECORDS
from tests.conftest import ROOT, refuse_bad_row

CONFIG = TrafficConfig(days=4, comments_per_day=2_000, broken_share=0.05, duplicate_share=0.05, edit_share=0.05)
SMALL = TrafficConfig(days=1, comments_per_day=300)


@dataclass(frozen=True, slots=True)
class Found:
    """Record as a plain consumer reads it."""

    partition: int
    offset: int
    key: str
    value: bytes
    append_ms: int


@pytest.fixture
def settings(stack: StackInfo, topic_prefix: str) -> Settings:
    ensure_topics(stack.kafka, [COMMENTS, ACTIONS], prefix=topic_prefix)
    return Settings(kafka_bootstrap=stack.kafka_bootstrap, topic_prefix=topic_prefix)


def nothing(sent: SendResult) -> None:
    pass


def arrivals(plan: SendPlan, topic: str) -> list[Arrival]:
    return [each for each in arrivals_of(plan, refuse_bad_row) if each.topic == topic]


def records(settings: Settings, topic: str) -> list[Found]:
    """Return all records of a topic by partition."""
    consumer = Consumer(kafka_of(settings).librdkafka({"group.id": "test", "log_level": 2}))
    places = [TopicPartition(settings.topic_prefix + topic, number, 0) for number in range(COMMENTS.partitions)]
    found: list[Found] = []
    try:
        ends = [consumer.get_watermark_offsets(place, timeout=20)[1] for place in places]
        consumer.assign(places)
        while len(found) < sum(ends):
            messages = consumer.consume(min(1_000, sum(ends) - len(found)), timeout=20)
            assert messages, "nothing came within 20 s"
            for message in messages:
                assert message.error() is None
                key, value = message.key(), message.value()
                assert isinstance(key, bytes)
                assert isinstance(value, bytes), "a value without bytes is no tombstone"
                append_ms = message.timestamp()[1]
                found.append(Found(message.partition() or 0, message.offset() or 0, key.decode(), value, append_ms))
    finally:
        consumer.close()
    found.sort(key=lambda each: (each.partition, each.offset))
    everywhere = [(number, offset) for number, end in enumerate(ends) for offset in range(end)]
    assert [(each.partition, each.offset) for each in found] == everywhere, "not transactional: offsets without holes"
    return found


def pairs(found: list[Found] | list[Arrival]) -> Counter[tuple[str, bytes]]:
    return Counter((each.key, each.value) for each in found)


@contextmanager
def started(settings: Settings, state: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``python -m stream.source`` on generated traffic until the block ends."""
    shares = {"broken": "0.05", "duplicate": "0.05", "edited": "0.05", "days": "4", "comments-per-day": "2000"}
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "stream.source", "--generate", "--state", str(state), *options),
            *(word for name, value in shares.items() for word in (f"--{name}", value)),
        ],
        cwd=ROOT,
        env={
            **inherited_environment(),
            "MODERATION_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
            "MODERATION_TOPIC_PREFIX": settings.topic_prefix,
            "MODERATION_STATE_FOLDER": str(state / "scratch"),
        },
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_arrivals(state: Path, count: int) -> None:
    def reached() -> bool:
        checkpoint = load_checkpoint(state)
        return checkpoint is not None and checkpoint.arrivals >= count

    wait_until(reached, seconds=30, description=f"{count} arrivals", interval_seconds=0.02)


def test_every_arrival_is_sent_once_with_its_key_bytes_and_murmur2_partition(
    settings: Settings, tmp_path: Path
) -> None:
    plan = SendPlan(Generated(CONFIG), tmp_path)
    seen: list[SendResult] = []
    sent = send_all(settings, plan, seen.append)
    partitions = list(range(COMMENTS.partitions))
    partition_of = DefaultPartitioner()
    for topic, count in (("comments", sent.comments), ("actions", sent.actions)):
        expected, found = arrivals(plan, topic), records(settings, topic)
        assert len(expected) == count
        assert pairs(found) == pairs(expected)
        for record in found:
            assert record.partition == partition_of(record.key.encode(), partitions, partitions)
        for partition in partitions:
            keys = [
                each.key for each in expected if partition_of(each.key.encode(), partitions, partitions) == partition
            ]
            assert [record.key for record in found if record.partition == partition] == keys, "in order of arrival"
    assert seen[-1] == sent
    assert (sent.refused, sent.resumed_after) == ((), 0)


def test_the_delivery_log_equals_what_a_plain_consumer_reads(settings: Settings, tmp_path: Path) -> None:
    send_all(settings, SendPlan(Generated(CONFIG), tmp_path), nothing)
    report = list(read_delivery_log(tmp_path))
    assert {(each.partition, each.offset, each.sha256) for each in report} == {
        (each.partition, each.offset, hashlib.sha256(each.value).hexdigest()) for each in records(settings, "comments")
    }
    assert len({(each.partition, each.offset) for each in report}) == len(report)
    assert {each.topic for each in report} == {settings.topic_prefix + "comments"}
    assert all(each.sent_us <= each.acknowledged_us for each in report)


@pytest.mark.budget(20)
def test_a_killed_source_skips_nothing_and_repeats_only_the_tail(settings: Settings, tmp_path: Path) -> None:
    with started(settings, tmp_path, "--rate", "3000") as process:
        wait_for_arrivals(tmp_path, 2_000)
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    acknowledged = load_checkpoint(tmp_path)
    assert acknowledged is not None
    tail = len(records(settings, "comments")) - acknowledged.comments
    assert 0 <= tail <= BATCH_MOST_RECORDS
    with started(settings, tmp_path, "--fast") as process:
        assert process.wait(60) == 0
    expected = pairs(arrivals(SendPlan(Generated(CONFIG), tmp_path), "comments"))
    found = pairs(records(settings, "comments"))
    assert found.keys() == expected.keys()
    assert found >= expected
    assert (found - expected).total() == tail
    reported = Counter((each.partition, each.offset, each.sha256) for each in read_delivery_log(tmp_path))
    there = Counter(
        (each.partition, each.offset, hashlib.sha256(each.value).hexdigest()) for each in records(settings, "comments")
    )
    assert reported <= there
    assert (there - reported).total() <= tail


def test_a_stopped_source_continues_without_repeating_anything(settings: Settings, tmp_path: Path) -> None:
    with started(settings, tmp_path, "--rate", "3000") as process:
        wait_for_arrivals(tmp_path, 1_000)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    stopped = load_checkpoint(tmp_path)
    assert stopped is not None
    assert len(records(settings, "comments")) == stopped.comments
    sent = send_all(settings, SendPlan(Generated(CONFIG), tmp_path), nothing)
    assert sent.resumed_after == stopped.arrivals
    for topic in ("comments", "actions"):
        assert pairs(records(settings, topic)) == pairs(arrivals(SendPlan(Generated(CONFIG), tmp_path), topic))
    assert len(list(read_delivery_log(tmp_path))) == stopped.comments + sent.comments


def test_another_input_ends_the_process_with_the_code_that_prevents_a_restart(
    settings: Settings, tmp_path: Path
) -> None:
    send_all(settings, SendPlan(Generated(SMALL), tmp_path, limit=10), nothing)
    with started(settings, tmp_path, "--fast", "--seed", "7") as process:
        assert process.wait(30) == REFUSED
    assert len(records(settings, "comments")) == 10


def test_records_after_the_checkpoint_are_sent_again_with_the_same_bytes(settings: Settings, tmp_path: Path) -> None:
    plan = SendPlan(Generated(SMALL), tmp_path, AtRate(150), shift_to="now")
    kept: list[tuple[SendResult, bytes]] = []
    sent = send_all(settings, plan, lambda sent: kept.append((sent, (tmp_path / CHECKPOINT_FILE).read_bytes())))
    noted, checkpoint = kept[(len(kept) - 1) // 2]  # not the last, which is all
    first = pairs(records(settings, "comments"))
    (tmp_path / CHECKPOINT_FILE).write_bytes(checkpoint)
    again = send_all(settings, replace(plan, pace=AtRate(10**6)), nothing)
    assert again.comments == sent.comments - noted.comments > 0
    both = pairs(records(settings, "comments"))
    assert both.keys() == first.keys()
    assert (both - first).total() == again.comments


def test_a_finished_input_is_not_sent_again_and_recreated_topics_are_refused(
    settings: Settings, tmp_path: Path
) -> None:
    plan = SendPlan(Generated(SMALL), tmp_path)
    sent = send_all(settings, plan, nothing)
    again = send_all(settings, plan, nothing)
    assert (again.comments, again.actions, again.resumed_after) == (0, 0, sent.comments + sent.actions)
    elsewhere = Settings(kafka_bootstrap=settings.kafka_bootstrap, topic_prefix=settings.topic_prefix + "b-")
    with pytest.raises(ConfigurationError, match="does not exist"):
        send_all(elsewhere, plan, nothing)
    ensure_topics(kafka_of(settings), [COMMENTS, ACTIONS], prefix=elsewhere.topic_prefix)
    with pytest.raises(ConfigurationError, match="another target"):
        send_all(elsewhere, plan, nothing)


def test_recorded_times_sped_up_keep_order_and_pace(settings: Settings, tmp_path: Path) -> None:
    plan = SendPlan(Generated(SMALL), tmp_path, limit=200)
    expected = list(arrivals_of(plan, refuse_bad_row))
    seconds = 3.0
    speed = (expected[-1].arrival_us - expected[0].arrival_us) / 1e6 / seconds
    sent = send_all(settings, replace(plan, pace=AtRecordedTimes(speed)), nothing)
    assert seconds <= sent.seconds < seconds + 2
    sent_us = {each.sha256: each.sent_us for each in read_delivery_log(tmp_path)}
    comments = [each for each in expected if each.topic == "comments"]
    times_us = [sent_us[hashlib.sha256(each.value).hexdigest()] for each in comments]
    assert times_us == sorted(times_us)
    for arrival, time_us in zip(comments, times_us, strict=True):
        due_seconds = (arrival.arrival_us - comments[0].arrival_us) / 1e6 / speed
        assert due_seconds - 0.3 < (time_us - times_us[0]) / 1e6 < due_seconds + 1.5


def test_actions_arrive_after_their_comments_even_as_fast_as_possible(settings: Settings, tmp_path: Path) -> None:
    send_all(settings, SendPlan(Generated(SMALL), tmp_path), nothing)
    appended_ms = {each.key: each.append_ms for each in records(settings, "comments")}
    actions = records(settings, "actions")
    assert len(actions) > 20
    for action in actions:
        assert appended_ms[action.key] <= action.append_ms


def test_a_record_over_the_limit_is_refused_by_name_and_the_rest_is_sent(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def value(name: str, length: int) -> bytes:
        bare = orjson.dumps({"comment_id": name, "body": ""})
        return bare.replace(b'""', b'"%b"' % (b"x" * (length - len(bare))))

    lengths = {"small": 100, "largest": MAX_RECORD_BYTES, "huge": MAX_RECORD_BYTES + 1, "last": 100}
    values = {name: value(name, length) for name, length in lengths.items()}
    history = tmp_path / "history"
    recorded.write_history(
        history,
        (Arrival(number, "comments", name, values[name], None, None) for number, name in enumerate(values)),
        lambda count: None,
    )
    plan = SendPlan(History(history), tmp_path / "state")
    with caplog.at_level(logging.WARNING):
        sent = send_all(settings, plan, nothing)
    assert sent.refused == (RefusedRecord(3, "comments", "huge", MAX_RECORD_BYTES + 1),)
    assert f"comments record huge (arrival 3) has {MAX_RECORD_BYTES + 1} bytes" in caplog.text
    assert sent.comments == 3
    assert {each.key: each.value for each in records(settings, "comments")} == {
        name: value for name, value in values.items() if name != "huge"
    }
    assert (plan.state / "refused.jsonl").read_text().count("huge") == 1
    assert send_all(settings, plan, nothing).resumed_after == 4


def test_an_empty_input_is_sent_at_once(settings: Settings, tmp_path: Path) -> None:
    sent = send_all(settings, SendPlan(Generated(SMALL), tmp_path, skip=10**6, shift_to="now"), nothing)
    assert (sent.comments, sent.actions) == (0, 0)
