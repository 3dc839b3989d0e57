"""Contract of the published topics, for the fake in memory and those on Kafka."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.contracts import Fate, Pane, Verdict
from moderation.ledger import DecisionRow, Versions
from moderation.panes import PANE_US
from stream.worker.messages import Publication
from tests.support.fakes import MemoryTopics

Place = tuple[int, int]
VERSIONS = Versions("1", "policy", "1")
START_US = 1_700_000_000_000_000 // PANE_US * PANE_US


@dataclass(frozen=True, slots=True)
class TopicsUnderTest:
    """Published topics, and functions that read them.

    Attributes:
        publish: sends, and returns how many records that were when all of them are there.
        decisions: version and verdict by partition and offset.
        alerts: partition and offset of alerts.
        panes: comments of panes by partition, community and start.
    """

    publish: Callable[[Publication], int]
    decisions: Callable[[], dict[Place, tuple[str, str]]]
    alerts: Callable[[], set[Place]]
    panes: Callable[[], dict[tuple[int, str, int], int]]


@pytest.fixture(params=["memory", "kafka"])
def topics(request: pytest.FixtureRequest) -> TopicsUnderTest:
    return in_memory() if request.param == "memory" else on_kafka(request)


def in_memory() -> TopicsUnderTest:
    memory = MemoryTopics()
    return TopicsUnderTest(
        memory.publish,
        lambda: {place: (versions.model_version, row.verdict) for place, (row, versions) in memory.decisions.items()},
        lambda: memory.alerts,
        lambda: {key: pane.comments for key, pane in memory.panes.items()},
    )


def on_kafka(request: pytest.FixtureRequest) -> TopicsUnderTest:
    from local.oracle import read_topic
    from moderation.adapters.kafka.topics import describe_topic_ids, ensure_topics, topic_uuid
    from stream.worker.publisher import Publisher

    kafka = request.getfixturevalue("stack").kafka
    prefix = request.getfixturevalue("topic_prefix")
    ensure_topics(kafka, prefix=prefix)
    topic = f"{prefix}comments"
    topic_id = topic_uuid(describe_topic_ids(kafka, [topic])[topic])
    wait_until(lambda: all_have_leaders(kafka, prefix), seconds=30, description="leaders of new topics")
    publisher = Publisher(kafka, prefix, topic, topic_id, lambda: None)

    def values(name: str) -> list[dict[str, Any]]:
        """The distinct values of a topic; values that are sent twice are equal."""
        return [json.loads(value) for value in set(read_topic(kafka, prefix + name).values())]

    def place(decision: dict[str, Any]) -> Place:
        return decision["partition"], decision["offset"]

    def decisions() -> dict[Place, tuple[str, str]]:
        found = values("decisions")
        made = {place(each): (each["model_version"], each["verdict"]) for each in found}
        assert len(made) == len(found)
        return made

    return TopicsUnderTest(
        publisher.publish,
        decisions,
        lambda: {place(each["decision"]) for each in values("alerts")},
        lambda: {
            (int(str(each["partition"])), str(each["community"]), int(str(each["start_us"]))): int(
                str(each["comments"])
            )
            for each in values("panes")
        },
    )


def all_have_leaders(kafka: KafkaConnection, prefix: str) -> bool:
    """Whether every partition of the published topics can be read; a new one cannot be for a moment."""
    from confluent_kafka import KafkaException

    from local.oracle import read_topic

    try:
        return all(read_topic(kafka, prefix + name) == {} for name in ("decisions", "alerts", "panes"))
    except KafkaException:
        return False


def row(offset: int, verdict: Verdict) -> DecisionRow:
    return DecisionRow(1, offset, START_US, f"c{offset}", "x", START_US, b"\0" * 32, 5, verdict, Fate.COUNTED, ["a"])


def pane(number: int) -> Pane:
    start_us = START_US + number * PANE_US
    return Pane("comments", "id", 1, "x", start_us, start_us + PANE_US, "1", "policy", 3, 2, 1, 7)


ROWS = [(row(offset, verdict), VERSIONS) for offset, verdict in enumerate([*Verdict, *Verdict])]


def test_all_records_are_in_the_topics_when_publish_returns(topics: TopicsUnderTest) -> None:
    flagged = {(row.partition, row.offset) for row, _ in ROWS if row.verdict is not Verdict.ALLOW}
    assert topics.publish(Publication(ROWS, [pane(0), pane(1)])) == len(ROWS) + len(flagged) + 2
    assert topics.decisions() == {(row.partition, row.offset): ("1", row.verdict) for row, _ in ROWS}
    assert topics.alerts() == flagged
    assert topics.panes() == {(1, "x", START_US): 3, (1, "x", START_US + PANE_US): 3}


def test_sending_twice_changes_no_value(topics: TopicsUnderTest) -> None:
    topics.publish(Publication(ROWS[:4], [pane(0)]))
    topics.publish(Publication(ROWS[2:], [pane(0), pane(1)]))
    assert sorted(topics.decisions()) == [(1, offset) for offset in range(len(ROWS))]
    assert len(topics.panes()) == 2


def test_nothing_to_publish_sends_no_record(topics: TopicsUnderTest) -> None:
    assert topics.publish(Publication()) == 0
    assert topics.decisions() == {}
