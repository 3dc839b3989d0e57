from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import psycopg
import pytest

from moderation.contracts import Comment, to_json
from moderation.ledger import Batch, DecisionRow, Position, Versions
from moderation.policy import Policy
from moderation.scoring import Kernel
from stream.worker.batch_queue import Acknowledge
from stream.worker.dead_letter_limit import DeadLetterLimit
from stream.worker.decider import Decider
from stream.worker.fault_points import FaultPoints
from stream.worker.messages import Encoded, Publication, ServingModel
from stream.worker.pipeline import Pipeline
from stream.worker.publisher import Publisher, encode_decision
from stream.worker.read_to_end import EndTracker
from stream.worker.recorder import Recorder
from tests.support.fakes import MemoryLedger, MemoryTopics

SECONDS = 20.0
UNSTORABLE = "refused by the ledger"


@dataclass
class Kafkas:
    """Record as aiokafka returns it."""

    partition: int
    offset: int
    value: bytes
    timestamp: int = 1_700_000_000_000
    headers: tuple[()] = ()


@dataclass
class FakeChunk:
    records: list[Kafkas]
    generation_id: int = 1
    partition: int = 0


class SlowLedger(MemoryLedger):
    """Ledger whose transactions wait until the test releases them."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: list[tuple[int, int]] = []
        self.through = threading.Event()
        self.asked = threading.Event()

    def rehearse(self, batch: Batch) -> None:
        if any(row.comment_id == UNSTORABLE for row in batch.decisions):
            raise psycopg.DataError("a row that quotes a comment")
        super().rehearse(batch)

    def store(self, batch: Batch) -> bool:
        self.asked.set()
        assert self.through.wait(SECONDS)
        unknown = super().store(batch)
        self.stored.append(batch.ranges[0])
        return unknown


@dataclass
class OrderedTopics(MemoryTopics):
    """Published topics that refuse records that are not in the ledger yet."""

    ledger: SlowLedger = field(default_factory=SlowLedger)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    is_sliced: bool = False

    def publish(self, published: Publication) -> int:
        for lo, hi in published.ranges.values():
            is_stored = hi <= self.ledger.next[0] if self.is_sliced else (lo, hi) in self.ledger.stored
            assert is_stored, "published before it was stored"
            self.ranges.append((lo, hi))
        return super().publish(published)


@dataclass
class Rig:
    pipeline: Pipeline
    ledger: SlowLedger
    topics: OrderedTopics
    acknowledged: list[int] = field(default_factory=list)

    def acknowledge(self, upto: int) -> Acknowledge:
        def note() -> None:
            assert any(hi >= upto for _, hi in self.ledger.stored), "acknowledged before it was stored"
            self.acknowledged.append(upto)

        return note

    async def add(self, first: int, count: int, generation_id: int = 1, unstorable: int | None = None) -> None:
        records = [Kafkas(0, offset, value_of(offset, offset == unstorable)) for offset in range(first, first + count)]
        await self.pipeline.add(cast(Any, FakeChunk(records, generation_id)), self.acknowledge(first + count))


def value_of(offset: int, is_unstorable: bool) -> bytes:
    """Return a comment; an unstorable one has the largest event time, so that later ones would be late."""
    comment = Comment(f"c{offset}", "x", "hello", 1_700_000_000_000_000 + offset)
    if is_unstorable:
        comment = replace(comment, comment_id=UNSTORABLE, event_time_us=comment.event_time_us + 200_000_000)
    return to_json(comment)


async def rig_of(
    kernel: Kernel,
    most_records: int,
    encode: Callable[[DecisionRow, Versions], Encoded] | None = None,
    ends: EndTracker | None = None,
) -> Rig:
    ledger = SlowLedger()
    topics = OrderedTopics(ledger=ledger)
    recorder = Recorder(ledger, DeadLetterLimit(1_000, 0.5, 200), encode=encode, ends=ends)
    model = ServingModel(kernel, Policy(300_000, 700_000, ()), "1")
    publisher = cast(Publisher, topics)
    pipeline = Pipeline(Decider(), recorder, publisher, lambda: model, most_records, FaultPoints(None))
    rig = Rig(pipeline, ledger, topics)
    await pipeline.assign(1, lambda: positions(ledger))
    return rig


async def positions(ledger: SlowLedger) -> Mapping[int, Position]:
    return ledger.positions({0: 0})


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def reached(event: threading.Event) -> None:
    assert await asyncio.get_running_loop().run_in_executor(None, event.wait, SECONDS)


def test_a_slow_ledger_applies_back_pressure_and_the_order_is_kept(
    kernel: Kernel,
) -> None:
    async def play() -> None:
        rig = await rig_of(kernel, most_records=10)
        working = asyncio.create_task(rig.pipeline.run())
        adding = asyncio.create_task(add_chunks(rig))
        await reached(rig.ledger.asked)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(adding), 1.0)
        held_back_at = added[0]
        # One batch being stored, one decided, three pending, and the chunk that filled them.
        assert held_back_at <= 10 * (1 + 1 + 3) + 5
        rig.ledger.through.set()
        await asyncio.wait_for(adding, SECONDS)
        await asyncio.wait_for(until(lambda: rig.pipeline.is_idle), SECONDS)
        assert rig.ledger.stored[-1][1] == 200
        assert [lo for lo, _ in rig.ledger.stored] == [0, *(hi for _, hi in rig.ledger.stored[:-1])]
        assert rig.topics.ranges == rig.ledger.stored
        assert rig.acknowledged == list(range(5, 201, 5))
        working.cancel()

    added = [0]

    async def add_chunks(rig: Rig) -> None:
        for first in range(0, 200, 5):
            await rig.add(first, 5)
            added[0] = first + 5

    asyncio.run(play())


def test_an_assignment_finishes_current_batches_and_drops_chunks_of_the_last_one(
    kernel: Kernel,
) -> None:
    async def play() -> None:
        rig = await rig_of(kernel, most_records=10)
        working = asyncio.create_task(rig.pipeline.run())
        await rig.add(0, 10)
        await reached(rig.ledger.asked)
        asked_for_positions = asyncio.Event()

        async def read() -> Mapping[int, Position]:
            asked_for_positions.set()
            return await positions(rig.ledger)

        assigning = asyncio.create_task(rig.pipeline.assign(2, read))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asked_for_positions.wait(), 0.5)
        rig.ledger.through.set()
        found = await asyncio.wait_for(assigning, SECONDS)
        following = found[0].next
        await rig.add(30, 10, generation_id=1)  # comes late, for an assignment that is over
        await rig.add(following, 10, generation_id=2)
        await asyncio.wait_for(until(lambda: rig.ledger.stored[-1][1] == following + 10), SECONDS)
        await rig.pipeline.finish()
        # What the ledger does not know to be published is published again by the new assignment.
        assert rig.topics.ranges == [rig.ledger.stored[0], *rig.ledger.stored]
        assert 40 not in rig.acknowledged
        working.cancel()

    asyncio.run(play())


def test_releasing_partitions_does_not_wait_for_records_that_are_being_tried(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        rig = await rig_of(kernel, most_records=10)
        rig.ledger.through.set()
        starting = threading.Event()

        def silent(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
            child = popen([sys.executable, "-c", "import sys; sys.stdin.read()"], **options)
            children.append(child)
            starting.set()
            return child

        async def suspected() -> set[int]:
            return {0}

        popen, children = subprocess.Popen, list[subprocess.Popen[bytes]]()
        monkeypatch.setattr(subprocess, "Popen", silent)
        await rig.pipeline.assign(1, lambda: positions(rig.ledger), suspected)
        working = asyncio.create_task(rig.pipeline.run())
        await rig.add(0, 5)
        await reached(starting)
        await rig.add(5, 5)
        await asyncio.wait_for(rig.pipeline.release(), SECONDS)
        assert [child.poll() for child in children] == [-signal.SIGKILL]
        # Nothing was stored, those records that came later neither, and the suspicion is not given up.
        assert not rig.ledger.stored
        assert not rig.acknowledged
        assert rig.pipeline.suspected == frozenset({0})
        monkeypatch.setattr(subprocess, "Popen", popen)
        await rig.pipeline.assign(2, lambda: positions(rig.ledger))
        await rig.add(0, 10, generation_id=2)
        await asyncio.wait_for(until(lambda: rig.ledger.next[0] == 10), SECONDS)
        working.cancel()

    asyncio.run(play())


def test_releasing_partitions_waits_for_current_batches_and_drops_the_rest(kernel: Kernel) -> None:
    async def play() -> None:
        rig = await rig_of(kernel, most_records=10)
        working = asyncio.create_task(rig.pipeline.run())
        await rig.add(0, 10)
        await reached(rig.ledger.asked)
        releasing = asyncio.create_task(rig.pipeline.release())
        done, _ = await asyncio.wait({releasing}, timeout=0.5)
        assert not done
        await rig.add(10, 10)
        rig.ledger.through.set()
        await asyncio.wait_for(releasing, SECONDS)
        stored = list(rig.ledger.stored)
        await rig.add(20, 10)  # fetched before, handed on after
        await rig.pipeline.finish()
        assert rig.ledger.stored == stored
        assert rig.topics.ranges == stored
        working.cancel()

    asyncio.run(play())


@pytest.mark.parametrize("unstorable", [0, 7, 9])
def test_a_record_that_the_ledger_refuses_is_quarantined_without_affecting_others(
    kernel: Kernel, unstorable: int
) -> None:
    async def play(refused: int | None) -> SlowLedger:
        rig = await rig_of(kernel, most_records=10)
        working = asyncio.create_task(rig.pipeline.run())
        await rig.add(0, 10, unstorable=refused)
        await reached(rig.ledger.asked)
        # Decided while the first batch is being stored, and again once that was stored without the record.
        await rig.add(10, 10)
        rig.ledger.through.set()
        await asyncio.wait_for(until(lambda: rig.ledger.next[0] == 20), SECONDS)
        await rig.pipeline.finish()
        assert rig.topics.ranges == rig.ledger.stored == [(0, 10), (10, 20)]
        assert rig.acknowledged == [10, 20]
        working.cancel()
        return rig.ledger

    usual, found = asyncio.run(play(None)), asyncio.run(play(unstorable))
    assert found.letters == {(0, unstorable): "processing_failed"}
    expected = {place: row for place, row in usual.rows.items() if place != (0, unstorable)}
    assert found.rows == expected
    assert sum(sums.comments for sums in found.panes.values()) == 19
    assert found.maxima[0].newest_event_us == max(row.event_time_us for row, _ in expected.values())


def test_a_record_that_cannot_be_encoded_for_the_topics_is_quarantined_before_it_is_stored(kernel: Kernel) -> None:
    def encode(row: DecisionRow, versions: Versions) -> Encoded:
        if row.comment_id == "c3":
            raise TypeError(row.comment_id)
        return encode_decision("comments", "id", row, versions)

    async def play() -> None:
        rig = await rig_of(kernel, 10, encode)
        rig.ledger.through.set()
        working = asyncio.create_task(rig.pipeline.run())
        await rig.add(0, 10)
        await asyncio.wait_for(until(lambda: rig.ledger.next[0] == 10), SECONDS)
        await rig.pipeline.finish()
        working.cancel()
        assert rig.ledger.letters == {(0, 3): "processing_failed"}
        assert sorted(offset for _, offset in rig.ledger.rows) == [0, 1, 2, 4, 5, 6, 7, 8, 9]

    asyncio.run(play())


def test_with_batches_of_one_record_none_is_decided_before_the_last_is_stored(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger then stays at the offset of a record that ends the process."""

    async def play() -> None:
        rig = await rig_of(kernel, most_records=1)
        decided: list[int] = []
        decide = rig.pipeline._decider.decide

        def noted(records: Any, *others: Any, **named: Any) -> Any:
            decided.extend(record.offset for record in records)
            return decide(records, *others, **named)

        monkeypatch.setattr(rig.pipeline._decider, "decide", noted)
        working = asyncio.create_task(rig.pipeline.run())
        await rig.add(0, 2)
        await reached(rig.ledger.asked)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(until(lambda: len(decided) > 1), 0.5)
        assert decided == [0]
        rig.ledger.through.set()
        await asyncio.wait_for(until(lambda: rig.ledger.next[0] == 2), SECONDS)
        assert decided == [0, 1]
        working.cancel()

    asyncio.run(play())


def test_an_error_that_is_not_a_records_ends_the_process(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[BaseException] = []
    monkeypatch.setattr("stream.worker.pipeline.leave", left.append)

    class FullDisk(SlowLedger):
        def store(self, batch: Batch) -> bool:
            raise psycopg.errors.DiskFull("no space left")

    async def play() -> None:
        pipeline = Pipeline(
            Decider(),
            Recorder(ledger, DeadLetterLimit(1_000, None, None)),
            cast(Publisher, MemoryTopics()),
            lambda: ServingModel(kernel, Policy(300_000, 700_000, ()), "1"),
            10,
            FaultPoints(None),
        )
        await pipeline.assign(1, lambda: positions(ledger))
        working = asyncio.create_task(pipeline.run())
        chunk = FakeChunk([Kafkas(0, 0, value_of(0, False))])
        await pipeline.add(cast(Any, chunk), lambda: None)
        await asyncio.wait_for(until(lambda: left), SECONDS)
        working.cancel()

    ledger = FullDisk()
    asyncio.run(play())
    assert [type(error) for error in left] == [psycopg.errors.DiskFull]
    assert ledger.letters == {}
