from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.datasets.importer.repeats import Repeats, RepeatSearch, Use, row_check
from moderation.errors import DatasetError

Rows = list[tuple[int, bool | None]]
# Few digests, so that they repeat; some differ in their first bits only, which divide them among the files.
digests = st.integers(0, 7).map(lambda number: number << 61 | number % 3)
rows_of = st.lists(st.tuples(digests, st.sampled_from([None, False, True])), max_size=60)


def searched(rows: Rows, rows_in_memory: int) -> Repeats:
    with RepeatSearch(rows_in_memory) as search:
        for digest, label in rows:
            search.add(digest, label)
        return search.finish()


def uses(rows: Rows) -> list[Use]:
    """The rule, row by row."""
    labels = defaultdict(list)
    for digest, label in rows:
        labels[digest].append(label)
    seen: set[int] = set()
    found = []
    for digest, label in rows:
        same = labels[digest]
        is_used = digest not in seen and (label is not None or not any(each is not None for each in same))
        found.append(Use.BOTH_LABELS if {True, False} <= set(same) else Use.USED if is_used else Use.REPEATED)
        if is_used:
            seen.add(digest)
    return found


@given(rows_of, st.integers(1, 70))
def test_the_rows_that_are_used_do_not_depend_on_how_many_are_in_memory(rows: Rows, rows_in_memory: int) -> None:
    repeats = searched(rows, rows_in_memory)
    expected = uses(rows)
    assert list(repeats.uses) == expected
    used = [label for (_, label), use in zip(rows, expected, strict=True) if use is Use.USED]
    assert (repeats.used, repeats.removed, repeats.unlabelled) == (len(used), used.count(True), used.count(None))
    assert (repeats.repeated, repeats.both_labels) == (expected.count(Use.REPEATED), expected.count(Use.BOTH_LABELS))


def test_a_label_is_not_lost_because_the_row_occurs_without_it_before() -> None:
    assert list(searched([(1, None), (1, True), (1, True)], 9).uses) == [Use.REPEATED, Use.USED, Use.REPEATED]


def test_other_rows_have_another_checksum() -> None:
    rows: Rows = [(number << 40, True) for number in range(9)]
    first = searched(rows, 2).checksum
    assert searched(rows, 100).checksum == first
    assert searched([*rows[:-1], (7, True)], 2).checksum != first
    assert searched([*rows[1:], rows[0]], 2).checksum != first, "another order"
    assert searched([*rows[:-1], (rows[-1][0], False)], 2).checksum != first, "another label"


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.sampled_from([None, False, True])), max_size=20))
def test_the_checksum_is_that_of_the_rows_one_by_one(rows: Rows) -> None:
    checksum = 0
    for number, (digest, label) in enumerate(rows):
        checksum ^= row_check(number, digest, label)
    assert searched(rows, 3).checksum == checksum


def test_temporary_files_are_deleted_also_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail() -> None:
        with RepeatSearch(2) as search:
            for number in range(5):
                search.add(number, None)
            assert any(tmp_path.iterdir()), "the digests are in files"
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(DatasetError, match="repeated rows: their digests cannot be written to .*TMPDIR"):
        searched([(number, None) for number in range(5)], 2)


def test_memory_grows_by_a_byte_or_two_a_row() -> None:
    # In a process of its own: threads of other tests allocate memory, too.
    done = subprocess.run([sys.executable, "-c", _GROWTH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 4, f"{done.stdout} bytes a row"


_GROWTH = """
import tracemalloc
from moderation.datasets.importer.repeats import RepeatSearch

def peak_bytes(rows):
    tracemalloc.start()
    with RepeatSearch(2_000) as search:
        for number in range(rows):
            search.add(number * 0x9E3779B97F4A7C15 % 2**64, False)
        assert len(search.finish().uses) == rows
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak

def least(rows):
    return min(peak_bytes(rows) for _ in range(3))  # a run may contain an import

print((least(60_000) - least(20_000)) / 40_000)
"""
