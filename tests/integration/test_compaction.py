"""A really compacted topic: removed offsets are holes of kind ``deleted`` in both layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.oracle.reading import read_topic
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from tests.integration.test_transactions import holes, is_at_the_end
from tests.support.lakes import SMALL, LakeUnderTest
from tests.support.reconcile_day import DayUnderTest, comments
from tests.support.topic_settings import configure_topic
from tests.support.workers import Record, SpeedLayerUnderTest

KEYS, ROUNDS = 12, 20
COMPACTED = {
    "cleanup.policy": "compact",
    "segment.ms": "500",
    "min.cleanable.dirty.ratio": "0.001",
    "max.compaction.lag.ms": "500",
    "min.compaction.lag.ms": "0",
}


UNTOUCHED = {"max.compaction.lag.ms": str((1 << 63) - 1), "min.compaction.lag.ms": str(1 << 50)}


def configure(layer: SpeedLayerUnderTest, settings: dict[str, str]) -> None:
    """Alter settings of topic comments."""
    configure_topic(kafka_of(layer.settings), layer.topic, settings)


def with_few_keys(first: int) -> list[Record]:
    """Return comments of the day, each with one of a few keys."""
    return [(f"key {number % KEYS}", value) for number, (_, value) in enumerate(comments(range(first, first + KEYS)))]


def wait_for_compaction(layer: SpeedLayerUnderTest, first: int) -> None:
    """Send records with the same keys until the broker has removed most earlier ones."""
    sent = first

    def is_compacted() -> bool:
        nonlocal sent
        # The active segment is never compacted: another record closes it.
        layer.produce(with_few_keys(sent))
        sent += KEYS
        left = read_topic(kafka_of(layer.settings), layer.topic)
        return len(layer.delivered) - len(left) > KEYS * (ROUNDS - 5)

    wait_until(is_compacted, seconds=150, description="records that the broker took out", interval_seconds=2)


@pytest.mark.long
@pytest.mark.budget(240)
def test_compacted_offsets_are_holes_in_both_layers_and_not_lost(layer: SpeedLayerUnderTest, tmp_path: Path) -> None:
    day = DayUnderTest(layer, tmp_path)
    configure(layer, COMPACTED)
    for number in range(ROUNDS):
        layer.produce(with_few_keys(number * KEYS))
    wait_for_compaction(layer, KEYS * ROUNDS)
    configure(layer, UNTOUCHED)  # what both layers read stays what it is

    worker = layer.start_worker()
    wait_until(lambda: is_at_the_end(layer), seconds=60, description="the end of the topic")
    day.archive(limits=SMALL)
    assert worker.poll() is None
    found_holes = holes(layer)
    assert set(found_holes) == {"deleted"}
    assert found_holes["deleted"] > KEYS * (ROUNDS - 5)
    assert holes(layer, "batch") == found_holes

    left = set(read_topic(kafka_of(layer.settings), layer.topic))
    assert len(layer.delivered) - len(left) == found_holes["deleted"]
    layer.delivered = [each for each in layer.delivered if (each.partition, each.offset) in left]
    found = layer.comparison()
    assert found.is_exact, found
    assert (found.hole_offsets, found.unreadable_offsets) == (found_holes["deleted"], 0)
    lake = LakeUnderTest(day.settings)
    inspection = lake.inspect()
    assert inspection.is_whole, inspection.defects
    assert set(lake.content()) == left
    report = day.reconcile()
    assert report.defects == dict.fromkeys(report.defects, 0)
    assert report.batch_comments == report.speed_comments == len(left)
