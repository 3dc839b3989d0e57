"""The oracle on the topics written after the commit: missing, different or unordered values are gaps."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from local.oracle.topics import Message
from tests.support.oracle_scenario import (
    MINUTE_US,
    SOURCE,
    START_US,
    World,
    decision_of,
    message,
)


def _without_last(messages: list[Message]) -> None:
    messages.pop()


def _repeated_with_other_bytes(messages: list[Message]) -> None:
    position, key, value = messages[0]
    messages.append((position, key, value.replace(b", ", b",")))


def _further_field(messages: list[Message]) -> None:
    position, key, value = messages[0]
    messages[0] = position, key, json.dumps({**json.loads(value), "more": 1}).encode()


def _wrong_key(messages: list[Message]) -> None:
    position, _, value = messages[0]
    messages[0] = position, b"another", value


def _wrong_type(messages: list[Message]) -> None:
    position, key, value = messages[0]
    messages[0] = position, key, value.replace(b'"schema_version": 1', b'"schema_version": true')


def _wrong_topic(messages: list[Message]) -> None:
    position, key, value = messages[0]
    messages[0] = position, key, value.replace(b'"topic": "comments"', b'"topic": "others"')


def _unreadable(messages: list[Message]) -> None:
    messages.append(((0, 9), b"k", b"nonsense"))


@pytest.mark.parametrize("topic", ["decisions", "alerts", "panes"])
@pytest.mark.parametrize(
    "damage",
    [
        _without_last,
        _repeated_with_other_bytes,
        _further_field,
        _wrong_key,
        _wrong_type,
        _wrong_topic,
        _unreadable,
    ],
)
def test_every_damage_of_a_topic_is_one_gap(damage: Callable[[list[Message]], None], topic: str) -> None:
    world = World()
    damage(getattr(world, topic))
    assert world.faults() == {"topic_gaps": 1}


@pytest.mark.parametrize("topic", ["decisions", "alerts", "panes"])
def test_repeated_bytes_and_values_of_other_topics_are_no_gap(topic: str) -> None:
    world = World()
    messages: list[Message] = getattr(world, topic)
    position, key, value = messages[0]
    messages += [messages[0], (position, key, value.replace(SOURCE[1].encode(), b"another source"))]
    assert world.faults() == {}


def test_an_alert_for_an_allowed_comment_or_with_wrong_reasons_is_a_gap() -> None:
    world = World()
    allowed = next(row for row in world.ledger.rows if row.verdict == "allow")
    value = {"decision": decision_of(allowed), "reasons": []}
    world.alerts.append(message(allowed.comment_id.encode(), value))
    position, key, raw = world.alerts[0]
    world.alerts[0] = position, key, raw.replace(b"idiot", b"moron")
    assert world.faults() == {"topic_gaps": 2}


def test_panes_out_of_order_are_a_gap_but_not_across_the_topics_partitions() -> None:
    world = World()
    world.panes.reverse()
    assert world.faults() == {"topic_gaps": 1}
    world.panes = [((number, 0), key, value) for number, (_, key, value) in enumerate(world.panes)]
    assert world.faults() == {}


def test_a_pane_that_is_still_open_in_the_ledger_is_a_gap() -> None:
    world = World()
    world.set_position(0, 7, START_US + 19 * MINUTE_US)
    assert world.faults() == {"fate_mismatches": 1, "topic_gaps": 1}
