"""A comparison by digests gives the results of the comparison of all rows, and reads only rows of hours that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.reconcile.digests import OUTPUTS, digests_of_groups, hours_of_digests, require_unchanged, settle
from moderation.adapters.reconciliation.ledger_digests import Hour
from moderation.adapters.reconciliation.row_digests import row_digest, with_digests
from moderation.errors import LedgerUnsafe
from tests.support.properties import examples
from tests.support.reconcile_checks import assert_expected
from tests.support.reconcile_digests import (
    DIGEST_FIELDS,
    WORDS,
    halves_of,
    hour_of,
    reconcile_by_digests,
    write_digests,
)
from tests.support.reconcile_faults import FAULTS, together
from tests.support.reconcile_oracle import expected_of
from tests.support.reconcile_scenario import DAY_US, topic_id_of, world_of
from tests.support.reconcile_tables import (
    HOUR_US,
    Decided,
    Seen,
    Tables,
    Worth,
    place_of,
    reconcile,
    write,
    write_ledger,
)

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


def hours_that_differ(left: Sequence[Decided], right: Sequence[Decided], folder: Path) -> list[Hour]:
    """Compare the digests of rows that DuckDB computes with those of other rows."""
    folder.mkdir()
    write_ledger(left, folder)
    write_digests(right, folder / "right")
    with duckdb.connect() as duck:
        duck.read_parquet(str(folder / "0.parquet")).create_view("rows_of_left")
        duck.read_parquet(str(folder / "right" / "0.parquet")).create_view("digests_of_right")
        left_digests = digests_of_groups(with_digests("FROM rows_of_left"))
        hours = duck.sql(hours_of_digests(left_digests, "FROM digests_of_right")).fetchall()
    return [Hour(*hour) for *hour, differs in hours if differs]


ROWS = [
    replace(
        ROW,
        pos=pos,
        score=pos * 7,
        verdict=pos % 3,
        fate=pos % 3,
        community="a" * (pos % 4) + "é",
        event_us=DAY_US + pos * 999_999_999,
        reasons="" if pos % 5 else ROW.reasons,
        comment_id=f"c{pos}|{'é' * (pos % 3)}",
    )
    for pos in range(50)
]


def test_duckdb_python_and_the_definition_give_the_same_digests(tmp_path: Path) -> None:
    assert hours_that_differ(ROWS, ROWS[::-1], tmp_path / "reversed") == []
    for row in ROWS:
        numbers = (row.pos, row.event_us, row.append_us, row.score)
        texts = (WORDS[row.verdict], row.comment_id, row.record_id, row.reasons)
        assert row_digest(*numbers, *texts) == halves_of(row)


@pytest.mark.parametrize("name", DIGEST_FIELDS)
def test_a_change_of_any_field_makes_its_hour_differ(name: str, tmp_path: Path) -> None:
    value: Any = getattr(ROW, name)
    other: Any = (
        (value + 1) % 3 if name in {"verdict", "fate"} else value + (1 if isinstance(value, int) else value[:1])
    )
    changed = replace(ROW, **{name: other})
    rest = [row for row in ROWS if row.pos != ROW.pos]
    assert set(hours_that_differ([*rest, ROW], [*rest, changed], tmp_path / "0")) == {hour_of(ROW), hour_of(changed)}


def test_a_lost_a_doubled_and_an_exchanged_row_make_their_hours_differ(tmp_path: Path) -> None:
    first, second = ROWS[0], ROWS[1]
    exchanged = [replace(first, score=second.score), replace(second, score=first.score)]
    assert hour_of(first) == hour_of(second)
    for number, other in enumerate((ROWS[1:], [*ROWS, first], [*exchanged, *ROWS[2:]])):
        assert hours_that_differ(ROWS, other, tmp_path / str(number)) == [hour_of(first)]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"comment_id": "ab", "reasons": "c"}, {"comment_id": "ab|c", "reasons": ""}),
        ({"comment_id": "a", "reasons": "b|c"}, {"comment_id": "a|b", "reasons": "c"}),
        ({"comment_id": "a", "record_id": b"bc"}, {"comment_id": "ab", "record_id": b"c"}),
        (
            {"comment_id": "a", "reasons": "b", "record_id": b"c"},
            {"comment_id": "a", "reasons": "bc", "record_id": b""},
        ),
        ({"pos": 1, "event_us": DAY_US + 10}, {"pos": 11, "event_us": DAY_US}),
    ],
)
def test_bytes_that_move_between_fields_change_the_digest(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert halves_of(replace(ROW, **left)) != halves_of(replace(ROW, **right))


def test_rows_of_the_ledger_that_change_during_the_comparison_are_refused(tmp_path: Path) -> None:
    equal = replace(ROW, pos=2, event_us=DAY_US + HOUR_US)
    shared = {name: getattr(equal, name) for name in DIGEST_FIELDS if name != "fate"}
    lake = Worth(**shared, record_hash=0, is_late=False, is_replay=False)
    tables = Tables({place_of(lake): lake}, {place_of(ROW): ROW, place_of(equal): equal})
    tables.cuts[ROW.topic_id, 0] = (9, 9)
    inputs = write(tables, tmp_path) | {name: tmp_path / f"{name}_settled" for name in OUTPUTS}
    write_digests([ROW, equal], tmp_path / "ledger_digests")
    with duckdb.connect() as duck:
        assert settle(duck, inputs, tmp_path / "ledger_digests") == [hour_of(ROW)]
        for number, rows in enumerate(([ROW], [], [ROW, ROW], [replace(ROW, score=8)], [replace(ROW, fate=1)])):
            folder = tmp_path / str(number)
            folder.mkdir()
            write_ledger(rows, folder)
            duck.execute("DROP VIEW IF EXISTS exported")
            if rows == [ROW]:
                require_unchanged(duck, folder / "0.parquet")
                continue
            with pytest.raises(LedgerUnsafe, match=r"partition 0.*rows changed"):
                require_unchanged(duck, folder / "0.parquet")
