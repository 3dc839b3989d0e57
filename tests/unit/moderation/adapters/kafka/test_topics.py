from __future__ import annotations

from dataclasses import replace

import pytest

from moderation.adapters.kafka.topics import (
    ACTIONS,
    COMMENTS,
    RECORD_MAX_BYTES,
    TOPICS,
    TopicDescription,
    TopicSettings,
    require_topic_settings,
)
from moderation.errors import ConfigurationError

_SEVEN_DAYS_MS = 604_800_000


def _as_wanted(topic: TopicSettings) -> TopicDescription:
    return TopicDescription(topic.partitions, 1, topic.configuration() | {"segment.bytes": "1073741824"})


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


def test_the_broker_accepts_a_record_of_one_mebibyte_with_its_overhead() -> None:
    assert RECORD_MAX_BYTES == 1_048_576
    assert int(COMMENTS.configuration()["max.message.bytes"]) == 1_048_576 + 65_536


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_with_the_required_settings_and_others_is_accepted(topic: TopicSettings) -> None:
    require_topic_settings(topic.name, topic, 1, _as_wanted(topic))


def test_additional_partitions_are_accepted() -> None:
    require_topic_settings("here-comments", COMMENTS, 1, replace(_as_wanted(COMMENTS), partitions=8))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (replace(_as_wanted(COMMENTS), partitions=3), "partitions is 3, not 4"),
        (replace(_as_wanted(COMMENTS), replication=3), "replication factor is 3, not 1"),
        (
            replace(_as_wanted(COMMENTS), configuration={**COMMENTS.configuration(), "retention.ms": "-1"}),
            "retention.ms is -1, not 604800000",
        ),
        (replace(_as_wanted(COMMENTS), configuration={}), "cleanup.policy is absent, not delete"),
    ],
)
def test_a_difference_is_refused_with_topic_setting_and_both_values(found: TopicDescription, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"topic here-comments: {message}"):
        require_topic_settings("here-comments", COMMENTS, 1, found)
