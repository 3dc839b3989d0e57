from __future__ import annotations

from dataclasses import replace

import pytest

from moderation.adapters.kafka.topic_rules import (
    TopicDescription,
    TopicSettings,
    differences,
    require_topic_settings,
)
from moderation.adapters.kafka.topics import (
    ACTIONS,
    COMMENTS,
    DECISIONS,
    RECORD_MAX_BYTES,
    RETRAIN_REQUESTS,
    TOPICS,
    required_topics,
)
from moderation.errors import ConfigurationError
from moderation.settings import Settings

_SEVEN_DAYS_MS = 604_800_000
_DEFAULTS = {
    "segment.bytes": "1073741824",
    "min.insync.replicas": "1",
    "unclean.leader.election.enable": "false",
    "retention.bytes": "-1",
    "compression.type": "producer",
}


def _as_wanted(topic: TopicSettings, **changed: str) -> TopicDescription:
    further = {name.replace("_", "."): value for name, value in changed.items()}
    return TopicDescription(topic.partitions, 1, topic.configuration() | _DEFAULTS | further)


def test_topics_have_the_names_and_partitions_of_the_design() -> None:
    assert {topic.name: topic.partitions for topic in TOPICS} == {
        "comments": 4,
        "actions": 4,
        "decisions": 4,
        "alerts": 4,
        "panes": 4,
        "retrain-requests": 1,
    }


def test_comments_and_actions_have_append_times_and_seven_days_of_retention() -> None:
    stamped = {topic.name for topic in TOPICS if topic.timestamp_type == "LogAppendTime"}
    assert stamped == {COMMENTS.name, ACTIONS.name}
    assert {topic.configuration()["retention.ms"] for topic in TOPICS} == {str(_SEVEN_DAYS_MS)}


def test_settings_state_partitions_and_retention() -> None:
    assert required_topics(Settings()) == TOPICS
    topics = required_topics(Settings(topic_partitions=12, topic_retention_hours=48))
    assert [each.partitions for each in topics] == [12, 12, 12, 12, 12, RETRAIN_REQUESTS.partitions]
    assert {each.retention_ms for each in topics} == {48 * 3_600_000}


def test_the_broker_accepts_a_record_of_one_mebibyte_with_its_overhead() -> None:
    assert RECORD_MAX_BYTES == 1_048_576
    assert int(COMMENTS.configuration()["max.message.bytes"]) == 1_048_576 + 65_536


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_with_the_required_settings_and_others_is_accepted(topic: TopicSettings) -> None:
    assert require_topic_settings(topic.name, topic, 1, _as_wanted(topic)) == []


@pytest.mark.parametrize(
    ("topic", "found", "message"),
    [
        (COMMENTS, replace(_as_wanted(COMMENTS), partitions=8), "partitions is 8, not 4"),
        (COMMENTS, replace(_as_wanted(COMMENTS), replication=3), "replication factor is 3, not 1"),
        (COMMENTS, _as_wanted(COMMENTS, retention_ms="-1"), "retention.ms is -1, not 604800000"),
        (COMMENTS, _as_wanted(COMMENTS, retention_ms="604800001"), "retention.ms is 604800001, not 604800000"),
        (COMMENTS, _as_wanted(COMMENTS, max_message_bytes="8388608"), "max.message.bytes is 8388608, not 1114112"),
        (COMMENTS, _as_wanted(COMMENTS, compression_type="zstd"), "compression.type is zstd, not producer"),
        (COMMENTS, _as_wanted(COMMENTS, retention_bytes="1000"), "retention.bytes is 1000, not -1"),
        (COMMENTS, _as_wanted(COMMENTS, cleanup_policy=""), "cleanup.policy is , not delete"),
        (
            DECISIONS,
            _as_wanted(DECISIONS, message_timestamp_type="LogAppendTime"),
            "message.timestamp.type is LogAppendTime, not CreateTime",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_keeps_more_is_accepted_and_reported(topic: TopicSettings, found: TopicDescription, message: str) -> None:
    (accepted,) = require_topic_settings("here-comments", topic, 1, found)
    assert (str(accepted), accepted.remedy) == (message, "")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (replace(_as_wanted(COMMENTS), partitions=3), "partitions is 3, not 4"),
        (replace(_as_wanted(COMMENTS), replication=0), "replication factor is 0, not 1"),
        (replace(_as_wanted(COMMENTS), configuration={}), "cleanup.policy is absent, not delete"),
        (_as_wanted(COMMENTS, cleanup_policy="compact"), "cleanup.policy is compact, not delete"),
        (_as_wanted(COMMENTS, cleanup_policy="compact,delete"), "cleanup.policy is compact,delete, not delete"),
        (
            _as_wanted(COMMENTS, message_timestamp_type="CreateTime"),
            "message.timestamp.type is CreateTime, not LogAppendTime",
        ),
        (_as_wanted(COMMENTS, max_message_bytes="1048588"), "max.message.bytes is 1048588, not 1114112"),
        (_as_wanted(COMMENTS, retention_ms="604799999"), "retention.ms is 604799999, not 604800000"),
        (_as_wanted(COMMENTS, min_insync_replicas="2"), "min.insync.replicas is 2, not 1"),
        (
            _as_wanted(COMMENTS, unclean_leader_election_enable="true"),
            "unclean.leader.election.enable is true, not false",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_unsafe_is_refused_with_topic_setting_values_and_remedy(found: TopicDescription, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"topic here-comments: {message}") as refused:
        require_topic_settings("here-comments", COMMENTS, 1, found)
    assert refused.value.remedy


def test_as_many_replicas_as_must_acknowledge_are_enough() -> None:
    found = replace(_as_wanted(COMMENTS, min_insync_replicas="2"), replication=3)
    assert [each.remedy for each in require_topic_settings("here-comments", COMMENTS, 1, found)] == ["", ""]


def test_refused_differences_come_first() -> None:
    found = _as_wanted(COMMENTS, compression_type="zstd", retention_ms="1", max_message_bytes="1")
    assert [bool(each.remedy) for each in differences(COMMENTS, 1, found)] == [True, True, False]
