"""Topics that others created on a real broker: what keeps more is accepted, what is unsafe is refused by name."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from local.stack.commands import StackInfo
from moderation.adapters.kafka.topic_rules import Difference, TopicSettings
from moderation.adapters.kafka.topics import COMMENTS, DECISIONS, ensure_topics, unsafe_differences
from moderation.errors import ConfigurationError

ACCEPTED: list[tuple[TopicSettings, int, dict[str, str], str]] = [
    (COMMENTS, 8, {}, "partitions is 8, not 4"),
    (COMMENTS, 4, {"retention.ms": "-1"}, "retention.ms is -1, not 604800000"),
    (COMMENTS, 4, {"retention.ms": "700000000"}, "retention.ms is 700000000, not 604800000"),
    (COMMENTS, 4, {"max.message.bytes": "8388608"}, "max.message.bytes is 8388608, not 1114112"),
    (COMMENTS, 4, {"compression.type": "zstd"}, "compression.type is zstd, not producer"),
    (COMMENTS, 4, {"retention.bytes": "1073741824"}, "retention.bytes is 1073741824, not -1"),
    (COMMENTS, 4, {"cleanup.policy": ""}, "cleanup.policy is , not delete"),
    (
        DECISIONS,
        4,
        {"message.timestamp.type": "LogAppendTime"},
        "message.timestamp.type is LogAppendTime, not CreateTime",
    ),
]
REFUSED: list[tuple[TopicSettings, int, dict[str, str], str]] = [
    (COMMENTS, 2, {}, "partitions is 2, not 4"),
    (COMMENTS, 4, {"cleanup.policy": "compact"}, "cleanup.policy is compact, not delete"),
    (COMMENTS, 4, {"cleanup.policy": "compact,delete"}, "cleanup.policy is compact,delete, not delete"),
    (
        COMMENTS,
        4,
        {"message.timestamp.type": "CreateTime"},
        "message.timestamp.type is CreateTime, not LogAppendTime",
    ),
    (COMMENTS, 4, {"max.message.bytes": "1048588"}, "max.message.bytes is 1048588, not 1114112"),
    (COMMENTS, 4, {"retention.ms": "3600000"}, "retention.ms is 3600000, not 604800000"),
    (COMMENTS, 4, {"min.insync.replicas": "2"}, "min.insync.replicas is 2, not 1"),
    (
        COMMENTS,
        4,
        {"unclean.leader.election.enable": "true"},
        "unclean.leader.election.enable is true, not false",
    ),
]


def create(stack: StackInfo, name: str, topic: TopicSettings, partitions: int, changed: dict[str, str]) -> None:
    client = AdminClient(stack.kafka.librdkafka({"log_level": 2}))
    new = NewTopic(name, partitions, 1, config={**topic.configuration(), **changed})
    (future,) = client.create_topics([new], operation_timeout=20).values()
    future.result(30)


def ident(value: object) -> str:
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(("topic", "partitions", "changed", "message"), ACCEPTED, ids=ident)
def test_what_keeps_more_is_accepted_and_reported(
    topic: TopicSettings,
    partitions: int,
    changed: dict[str, str],
    message: str,
    stack: StackInfo,
    topic_prefix: str,
) -> None:
    create(stack, topic_prefix + topic.name, topic, partitions, changed)
    found: list[tuple[str, Difference]] = []
    created = ensure_topics(
        stack.kafka,
        [topic],
        prefix=topic_prefix,
        on_difference=lambda name, difference: found.append((name, difference)),
    )
    assert created == ()
    assert [(name, str(each)) for name, each in found] == [(topic_prefix + topic.name, message)]
    assert unsafe_differences(stack.kafka, topic_prefix + topic.name, topic) == []


@pytest.mark.parametrize(("topic", "partitions", "changed", "message"), REFUSED, ids=ident)
def test_what_is_unsafe_is_refused_by_name(
    topic: TopicSettings,
    partitions: int,
    changed: dict[str, str],
    message: str,
    stack: StackInfo,
    topic_prefix: str,
) -> None:
    create(stack, topic_prefix + topic.name, topic, partitions, changed)
    with pytest.raises(ConfigurationError, match=f"topic {topic_prefix}{topic.name}: {message}") as refused:
        ensure_topics(stack.kafka, [topic], prefix=topic_prefix)
    assert refused.value.remedy
    at_the_worker = unsafe_differences(stack.kafka, topic_prefix + topic.name, topic)
    assert [str(each) for each in at_the_worker] == ([] if message.startswith("partitions") else [message])


def test_fewer_replicas_than_the_setting_are_refused(stack: StackInfo, topic_prefix: str) -> None:
    create(stack, f"{topic_prefix}comments", COMMENTS, 4, {})
    with pytest.raises(ConfigurationError, match="replication factor is 1, not 3") as refused:
        ensure_topics(stack.kafka, [COMMENTS], prefix=topic_prefix, replication=3)
    assert "MODERATION_TOPIC_REPLICATION" in refused.value.remedy
