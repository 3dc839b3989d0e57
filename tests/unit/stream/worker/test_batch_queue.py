from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream.worker.batch_queue import BatchQueue
from stream.worker.estimated_work import estimated_work_us


@dataclass
class FakeRecord:
    offset: int
    value: bytes | None


@dataclass
class FakeChunk:
    records: list[FakeRecord]
    generation_id: int = 1
    partition: int = 0


def size(value: bytes | None) -> float:
    return float(len(value or b""))


SIZES = st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=12), max_size=8)


@given(sizes=SIZES, most_records=st.integers(1, 10), most_bytes=st.integers(1, 100))
def test_every_record_comes_once_in_order_in_bounded_batches_and_a_chunk_is_acknowledged_by_its_last(
    sizes: list[list[int]], most_records: int, most_bytes: int
) -> None:
    pending = BatchQueue(most_records, most_bytes, size)
    acknowledged: list[int] = []
    ends: list[int] = []
    offset = 0
    for number, chunk_sizes in enumerate(sizes):
        chunk: Any = FakeChunk([FakeRecord(offset + place, b"x" * size) for place, size in enumerate(chunk_sizes)])
        offset += len(chunk_sizes)
        ends.append(offset)
        pending.add(chunk, lambda number=number: acknowledged.append(number))  # type: ignore[misc]
    came: list[int] = []
    while pending:
        pieces = pending.take()
        batch = [record for piece in pieces for record in piece.records]
        assert 0 < len(batch) <= most_records
        assert len(batch) == 1 or sum(len(record.value) for record in batch) <= most_bytes
        came += [record.offset for record in batch]
        for piece in pieces:
            if piece.acknowledge is not None:
                piece.acknowledge()
        assert len(acknowledged) == sum(end <= len(came) for end in ends)
    assert came == list(range(offset))
    assert pending.take() == []
    assert not pending.is_full(0)


def test_a_queue_is_full_with_three_batches_and_clearing_empties_it() -> None:
    for value_size in (0, 400):
        pending = BatchQueue(4, 1_000, size)
        for number in range(12):
            assert not pending.is_full(0) or (value_size and number > 7)
            chunk: Any = FakeChunk([FakeRecord(number, b"x" * value_size)])
            pending.add(chunk, lambda: None)
        assert pending.is_full(0)
        pending.clear()
        assert not pending.is_full(0)
        assert not pending


def test_a_record_without_a_value_counts_nothing() -> None:
    pending = BatchQueue(10, 10, size)
    chunk: Any = FakeChunk([FakeRecord(0, None), FakeRecord(1, b"x" * 10)])
    pending.add(chunk, lambda: None)
    assert [piece.work_us for piece in pending.take()] == [10]


def test_partitions_take_turns_so_that_expensive_records_of_one_delay_the_others_by_one_batch() -> None:
    pending = BatchQueue(100, 1_000, size)
    expensive: Any = FakeChunk([FakeRecord(number, b"x" * 900) for number in range(50)])
    pending.add(expensive, lambda: None)
    assert pending.is_full(0)
    assert not pending.is_full(1)
    pending.take()
    usual: Any = FakeChunk([FakeRecord(0, b"x" * 10)], partition=1)
    pending.add(usual, lambda: None)
    batches = [pending.take() for _ in range(2)]
    assert any(usual.records == piece.records for pieces in batches for piece in pieces)
    rest = []
    while pieces := pending.take():
        rest += [record.offset for piece in pieces for record in piece.records]
    assert rest[-1] == 49


def test_work_grows_with_marks_and_with_other_scripts() -> None:
    usual = estimated_work_us(b"a usual comment of a few words" * 10)
    assert estimated_work_us(None) == estimated_work_us(b"") == 0
    assert estimated_work_us(b"a?!.,;:)((usual comment of few" * 10) > usual
    assert estimated_work_us("中文中文中文中文中文".encode() * 10) > usual
