from __future__ import annotations

import asyncio

import pytest

from moderation.scoring import Kernel
from tests.unit.stream.worker.test_pipeline import SECONDS, Rig, positions, rig_of, until


def missing(rig: Rig) -> list[str]:
    return list(rig.pipeline.publishing.missing)


def test_batches_are_stored_while_a_topic_is_missing_and_published_in_order_once_it_exists(kernel: Kernel) -> None:
    async def play() -> None:
        rig = await rig_of(kernel, most_records=10)
        rig.ledger.through.set()
        rig.topics.absent = ["decisions"]
        working = asyncio.create_task(rig.pipeline.run())
        for first in range(0, 100, 5):
            await rig.add(first, 5)
        await asyncio.wait_for(until(lambda: rig.pipeline.is_idle and rig.acknowledged[-1:] == [100]), SECONDS)
        await rig.pipeline.catch_up()
        assert rig.ledger.next == {0: 100}
        assert (rig.topics.decisions, rig.pipeline.recorder.published) == ({}, {0: 0})
        assert missing(rig) == ["decisions"]

        rig.topics.absent = []
        rig.topics.is_sliced = True
        await rig.pipeline.catch_up()
        rig.topics.is_sliced = False
        assert missing(rig) == []
        assert rig.topics.decisions == rig.ledger.rows
        await rig.add(100, 5)
        await asyncio.wait_for(until(lambda: rig.pipeline.recorder.published == {0: 105}), SECONDS)
        assert rig.topics.ranges[-1] == (100, 105)
        working.cancel()

    asyncio.run(play())


def test_a_new_assignment_publishes_a_large_backlog_in_slices_and_new_batches_after_it(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        monkeypatch.setattr("stream.worker.publication.SLICE_OFFSETS", 20)
        rig = await rig_of(kernel, most_records=10)
        rig.ledger.through.set()
        rig.topics.absent = ["decisions"]
        working = asyncio.create_task(rig.pipeline.run())
        await rig.add(0, 50)
        await asyncio.wait_for(until(lambda: rig.pipeline.is_idle and rig.acknowledged == [50]), SECONDS)
        rig.topics.absent = []
        rig.topics.is_sliced = True
        await rig.pipeline.assign(2, lambda: positions(rig.ledger))
        assert rig.pipeline.recorder.published == {0: 20}
        await rig.add(50, 5, generation_id=2)
        await asyncio.wait_for(until(lambda: rig.pipeline.is_idle and rig.acknowledged == [50, 55]), SECONDS)
        assert rig.pipeline.recorder.published == {0: 20}
        await rig.pipeline.catch_up()
        assert rig.topics.ranges[-3:] == [(0, 20), (20, 40), (40, 55)]
        assert rig.topics.decisions == rig.ledger.rows
        working.cancel()

    asyncio.run(play())
