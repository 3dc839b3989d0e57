from __future__ import annotations

import hashlib
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation import record_ids
from moderation.record_ids import BYTES_PER_ID, RecordIds
from tests.support.properties import examples


def record_id(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(8)).digest()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_ids_of_a_pane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_ids, "_NEWEST", 8_192)
    monkeypatch.setattr(record_ids, "_LARGEST", 65_536)
    numbers = range(250_000)
    tracemalloc.start()
    try:
        ids = RecordIds()
        for number in numbers:
            ids.add(record_id(number), 7)
        used, most_used = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(ids) == len(numbers)
    assert ids.file_bytes >= BYTES_PER_ID * 3 * record_ids._LARGEST  # numpy's mapped files are not traced
    newest_bytes = 200 * record_ids._NEWEST  # a dictionary's entries
    assert used < BYTES_PER_ID * record_ids._LARGEST + newest_bytes
    assert most_used < 6 * BYTES_PER_ID * record_ids._LARGEST + newest_bytes  # while the last two arrays are merged
    asked = [record_id(number) for number in (*range(1_000), *range(len(numbers) - 1_000, len(numbers) + 1_000))]
    assert ids.among(asked) == set(asked[:2_000])
    ids.close_before(8)
    assert len(ids) == 0


@examples(quick=100, thorough=2_000)
@given(
    rows=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=80),
    closed=st.integers(0, 6),
    newest=st.integers(2, 9),
    largest=st.integers(4, 40),
)
def test_record_ids_behave_like_a_set(rows: list[tuple[int, int]], closed: int, newest: int, largest: int) -> None:
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


def test_a_file_that_cannot_be_written_loses_no_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(record_ids, "_NEWEST", 2)
    monkeypatch.setattr(record_ids, "_LARGEST", 2)
    ids = RecordIds()
    ids.add(record_id(0), 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError):
        ids.add(record_id(1), 0)
    asked = [record_id(0), record_id(1), record_id(2)]
    assert ids.among(asked) == set(asked[:2])
    monkeypatch.setattr(tempfile, "tempdir", None)
    ids.add(record_id(2), 0)
    assert ids.among(asked) == set(asked)


def test_digests_that_end_in_zeros_are_not_confused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_ids, "_NEWEST", 2)
    ids = RecordIds()
    ids.add(b"a" * 14 + b"\0\0", 0)
    ids.add(b"a" * 15 + b"\0", 0)
    assert ids.among([b"a" * 14 + b"\0\0", b"a" * 15 + b"\0", b"a" * 16, b"a" * 13 + bytes(3)]) == {
        b"a" * 14 + b"\0\0",
        b"a" * 15 + b"\0",
    }
