from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation import record_ids
from moderation.record_ids import BYTES_PER_ID, RecordIds
from tests.support.properties import examples

MILLION = 1_000_000


def record_id(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(8)).digest()


@pytest.mark.slow
@pytest.mark.budget(30)
def test_a_million_ids_of_one_pane_take_20_bytes_each() -> None:
    numbers = range(MILLION)
    tracemalloc.start()
    try:
        ids = RecordIds()
        for number in numbers:
            ids.add(record_id(number), 7)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(ids) == MILLION
    kept = MILLION // record_ids._NEWEST * record_ids._NEWEST
    assert ids.array_bytes == BYTES_PER_ID * kept
    newest_bytes = 200 * (MILLION - kept)  # a dictionary's entries
    assert used < 1.1 * ids.array_bytes + newest_bytes
    asked = [record_id(number) for number in range(MILLION - 1_000, MILLION + 1_000)]
    assert ids.among(asked) == set(asked[:1_000])
    ids.close_before(8)
    assert len(ids) == 0


@examples(quick=100, thorough=2_000)
@given(
    rows=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=80),
    closed=st.integers(0, 6),
    newest=st.integers(2, 9),
    largest=st.integers(4, 40),
)
def test_ids_are_found_as_in_a_set_however_they_are_sorted_and_merged(
    rows: list[tuple[int, int]], closed: int, newest: int, largest: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_ids, "_NEWEST", newest)
        patch.setattr(record_ids, "_LARGEST", largest)
        ids, known = RecordIds(), dict[bytes, int]()
        for number, pane in rows:
            if (own := record_id(number)) not in known:
                ids.add(own, pane)
                known[own] = pane
            assert ids.among([record_id(each) for each in range(31)]) == known.keys()
        ids.close_before(closed)
        open_ids = {each for each, pane in known.items() if pane >= closed}
        assert ids.among(list(known)) >= open_ids
        for number in range(100, 100 + newest):
            ids.add(record_id(number), closed)
        assert ids.among(list(known)) == open_ids


def test_digests_that_end_in_zeros_are_not_confused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_ids, "_NEWEST", 2)
    ids = RecordIds()
    ids.add(b"a" * 14 + b"\0\0", 0)
    ids.add(b"a" * 15 + b"\0", 0)
    assert ids.among([b"a" * 14 + b"\0\0", b"a" * 15 + b"\0", b"a" * 16, b"a" * 13 + bytes(3)]) == {
        b"a" * 14 + b"\0\0",
        b"a" * 15 + b"\0",
    }
