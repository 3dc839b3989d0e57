"""The Python example of docs/message-formats.md, run against Kafka."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from aiokafka.partitioner import murmur2

from local.oracle.reading import read_keyed
from local.stack.commands import StackInfo
from local.stack.environment import inherited_environment
from moderation.adapters.kafka.topics import COMMENTS, ensure_topics
from moderation.contracts import parse_action, parse_record
from tests.support.message_examples import block


@pytest.fixture
def prefix(stack: StackInfo, topic_prefix: str) -> str:
    ensure_topics(stack.kafka, prefix=topic_prefix)
    return topic_prefix


def test_the_python_example_sends_what_worker_and_training_read(stack: StackInfo, prefix: str) -> None:
    code = block("python").replace("localhost:9092", stack.kafka_bootstrap)
    for topic in ("comments", "actions"):
        assert code.count(f'send("{topic}"') == 1
        code = code.replace(f'send("{topic}"', f'send("{prefix}{topic}"')
    before_us = time.time_ns() // 1_000
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=inherited_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    (((partition, _), key, value),) = read_keyed(stack.kafka, f"{prefix}comments")
    comment = parse_record(value, time.time_ns() // 1_000)
    assert key == comment.comment_id.encode()
    assert partition == (murmur2(key) & 0x7FFFFFFF) % COMMENTS.partitions, "the partition of all other producers"
    assert before_us <= comment.event_time_us <= time.time_ns() // 1_000
    ((_, key, value),) = read_keyed(stack.kafka, f"{prefix}actions")
    assert parse_action(value).comment_id == comment.comment_id == key.decode()
