"""Results do not depend on the memory limit, and rows for PostgreSQL are selected with bounded memory."""

from __future__ import annotations

from collections import Counter
from random import Random

import duckdb
import pytest

from batch.reconcile.engines import DuckDbEngine
from tests.support.reconcile_scenario import world_of
from tests.support.reconcile_tables import Tables, reconcile


def tables_of(worlds: int, most: int) -> Tables:
    tables = Tables()
    for number in range(worlds):
        tables.beside(world_of(Random(number), most, number=number).tables())
    return tables


@pytest.mark.slow
def test_little_memory_gives_the_same_digest_or_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batch.reconcile.engines.os.cpu_count", lambda: 2)  # each thread needs some of it
    tables = tables_of(60, 60)
    assert len(tables.recomputed) > 3_000
    expected = reconcile(tables)
    found = reconcile(tables, DuckDbEngine(memory_bytes=60_000_000))
    assert (found.outcome.digest, found.kept) == (expected.outcome.digest, expected.kept)
    with pytest.raises(duckdb.OutOfMemoryException):
        reconcile(tables, DuckDbEngine(memory_bytes=4_000_000))


@pytest.mark.parametrize("most", [1, 2])
def test_the_first_differences_of_each_pane_and_cause_are_stored(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batch.reconcile.results.ROWS_KEPT", most)
    seen = reconcile(tables_of(10, 60))
    nth = Counter[tuple[object, ...]]()
    expected = []
    for row in sorted((tuple(row.values()) for row in seen.differences), key=lambda row: row[2]):
        key = row[:2] + row[3:8]
        nth[key] += 1
        if nth[key] <= most:
            expected.append(row)
    assert len(expected) < len(seen.differences)
    assert sorted(seen.kept, key=repr) == sorted(expected, key=repr)
