"""A comparison by digests gives the results of the comparison of all rows, and reads only rows of hours that differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.reconcile.digests import digests_by_hour, require_unchanged
from moderation.adapters.reconciliation.ledger_digests import Hour
from moderation.adapters.reconciliation.row_digests import RowsDigest
from moderation.errors import LedgerUnsafe
from tests.support.properties import examples
from tests.support.reconcile_checks import assert_expected
from tests.support.reconcile_digests import hash_of, hour_of, reconcile_by_digests
from tests.support.reconcile_faults import FAULTS, together
from tests.support.reconcile_oracle import expected_of
from tests.support.reconcile_scenario import DAY_US, topic_id_of, world_of
from tests.support.reconcile_tables import HOUR_US, Decided, Seen, Tables, reconcile, write_ledger

CHANCE = st.integers(0, 2**32).map(Random)
ROW = Decided(
    *(topic_id_of(0), 0, 1, DAY_US, "ciência; 3:", 7, 1, 0, DAY_US, "1", "p", "1"),
    *("cut", DAY_US, '["é"]', "c|1", bytes(range(32))),
)


def assert_equal(by_digests: Seen, full: Seen) -> None:
    assert by_digests.differences == full.differences
    assert by_digests.kept == full.kept
    assert replace(by_digests.outcome, differences=full.outcome.differences) == full.outcome


@examples(quick=2, thorough=16)
@given(CHANCE)
def test_worlds_without_faults_have_the_same_results(random: Random) -> None:
    tables = Tables()
    for number in range(6):
        tables.beside(world_of(random, number=number, whole=number % 2 == 0).tables())
    seen, _, _ = reconcile_by_digests(tables)
    assert_equal(seen, reconcile(tables))
    assert_expected(seen, expected_of(tables))


@examples(quick=2, thorough=32)
@given(CHANCE)
def test_worlds_with_every_fault_have_the_same_results(random: Random) -> None:
    tables = Tables()
    for number, fault in enumerate(FAULTS.values()):
        clean = world_of(random, number=number).tables()
        moved = fault(clean, random, set())
        tables.beside(clean if moved is None else moved.tables)
    seen, _, _ = reconcile_by_digests(tables)
    assert_equal(seen, reconcile(tables))


@examples(quick=1, thorough=16)
@given(CHANCE)
def test_simultaneous_faults_have_the_same_results(random: Random) -> None:
    everything = Tables()
    for number in range(3):
        tables = world_of(random, 25, number=number).tables()
        for _, moved in together(tables, random):
            tables = moved.tables
        everything.beside(tables)
    seen, _, _ = reconcile_by_digests(everything)
    assert_equal(seen, reconcile(everything))


def test_of_equal_hours_only_rows_that_count_differently_are_compared() -> None:
    tables = Tables()
    for number in range(10):
        world = world_of(Random(number), 20, number=number)
        for log in world.logs.values():
            for pos, record in log.items():
                log[pos] = replace(record, unread=False, parses=True)
        tables.beside(world.tables())
    seen, different, counts = reconcile_by_digests(tables)
    assert different == 0, "no fault, and no record that only the batch can read"
    assert 0 < counts["compared"] < len(tables.recomputed) / 2
    assert counts["ledger"] == counts["compared"]
    assert_equal(seen, reconcile(tables))


FIELDS = (
    *("event_us", "append_us", "score", "verdict", "fate", "community", "comment_id", "record_id", "model_version"),
    *("policy_version", "kernel_version", "repairs", "reasons", "part", "pos", "topic_id"),
)


def digests_of(*rows: Decided) -> dict[Hour, RowsDigest]:
    """Return the digests that DuckDB computes."""
    with duckdb.connect() as duck:
        names = [name for name in (*FIELDS, "stored_us") if name != "stored_us"]
        marks = ", ".join(
            f"?::{'BLOB' if name == 'record_id' else 'VARCHAR' if isinstance(getattr(ROW, name), str) else 'BIGINT'} "
            f"AS {name}"
            for name in names
        )
        duck.execute(
            f"CREATE TABLE rows AS {' UNION ALL '.join(f'SELECT {marks}' for _ in rows)}",
            [getattr(row, name) for row in rows for name in names],
        )
        return digests_by_hour(duck, "rows")


def test_a_digest_is_the_sum_of_the_rows_hashes_in_any_order() -> None:
    rows = [replace(ROW, pos=pos, score=pos * 7, community="a" * (pos % 4) + "é") for pos in range(50)]
    total = sum(map(hash_of, rows)) % 2**128
    assert digests_of(*rows) == digests_of(*rows[::-1]) == {hour_of(ROW): RowsDigest(50, total)}
    halves = [digests_of(*part)[hour_of(ROW)] for part in (rows[:20], rows[20:])]
    assert halves[0].plus(halves[1]) == RowsDigest(50, total)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_changes_the_digest(name: str) -> None:
    value: Any = getattr(ROW, name)
    other: Any = value + (HOUR_US if name == "event_us" else 1) if isinstance(value, int) else value + value[:1]
    [before], [after] = (list(digests_of(row).values()) for row in (ROW, replace(ROW, **{name: other})))
    assert before != after
    assert before.rows == after.rows == 1


def test_bytes_that_move_between_fields_change_the_digest() -> None:
    rows = [replace(ROW, community=each, comment_id=rest) for each, rest in (("ab", "c"), ("a", "bc"))]
    [left], [right] = (list(digests_of(row).values()) for row in rows)
    assert left != right


def test_rows_of_the_ledger_that_change_during_the_comparison_are_refused(tmp_path: Path) -> None:
    write_ledger([ROW], tmp_path)
    hour, digest = hour_of(ROW), RowsDigest(1, hash_of(ROW))
    with duckdb.connect() as duck:
        require_unchanged(duck, tmp_path / "0.parquet", {hour: digest})
    for other in (RowsDigest(2, digest.total), RowsDigest(1, digest.total + 1), RowsDigest()):
        with duckdb.connect() as duck, pytest.raises(LedgerUnsafe, match=r"partition 0.*rows changed"):
            require_unchanged(duck, tmp_path / "0.parquet", {hour: other})
