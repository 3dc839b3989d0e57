"""Rescoring: DuckDB and a naive implementation agree, and the report is exact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from itertools import combinations
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.reconcile.engines import opened_duckdb
from batch.rescore.artifacts import store_artifacts
from batch.rescore.hours import (
    ZERO_SUMS,
    HourKey,
    HourPair,
    ServedHour,
    Sums,
    as_if_hours,
    by_community,
    pair_hours,
    require_hours,
    write_hours,
)
from batch.rescore.report import RescoreResult, markdown
from batch.rescore.verdicts import MOST_DIFFERENT, VerdictCounts, VerdictDiff, compare_verdicts
from batch.run_interval import Interval
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.registry.certificate import Certificate, GateEvidence
from moderation.contracts import Verdict
from moderation.errors import ConfigurationError
from tests.support import rescore_oracle as oracle
from tests.support.properties import examples
from tests.support.reconcile_scenario import DAY_US, decision, world_of
from tests.support.reconcile_tables import HOUR_US, Tables, place_of, write

CHANCE = st.integers(0, 2**32).map(Random)
ASKED = "asked"
WINDOW = Interval(DAY_US, DAY_US + 24 * HOUR_US)
CERTIFICATE = Certificate(
    "comment-moderation", "7", "c" * 64, "a" * 64, "b" * 64, "e" * 64, "1", "p-x", "d" * 64, GateEvidence("passed")
)


@dataclass(frozen=True)
class Seen:
    """What came of a comparison; ``rows`` of its file."""

    diff: VerdictDiff
    rows: list[dict[str, Any]]
    hours: dict[HourKey, Sums]


def compare(tables: Tables, random: Random | None = None) -> Seen:
    with TemporaryDirectory() as name:
        folder = Path(name)
        inputs = write(tables, folder, random)
        with opened_duckdb(folder) as duck:
            for each in ("recomputed", "ledger"):
                duck.read_parquet(f"{inputs[each]}/*.parquet").create_view(each)
            diff = compare_verdicts(duck, folder / "rows.parquet")
            return Seen(diff, pq.read_table(folder / "rows.parquet").to_pylist(), as_if_hours(duck))


def asked_in(random: Random, *, whole: bool) -> Tables:
    """Random worlds whose lake is scored by a version that agrees with those that served now and then."""
    tables = Tables()
    for number in range(6):
        tables.beside(world_of(random, number=number, whole=whole).tables())
    for place, worth in tables.recomputed.items():
        if random.random() < 0.7:
            score, verdict = decision(ASKED, worth.record_id)
            if random.random() < 0.2:
                score = worth.score  # another policy may judge the same score otherwise
            tables.recomputed[place] = replace(worth, score=score, verdict=verdict, model_version=ASKED)
    return tables


def plain(counts: VerdictCounts) -> tuple[Any, ...]:
    transitions = {(served.value, now.value): count for (served, now), count in counts.transitions.items() if count}
    return transitions, counts.score_shift_sum, counts.not_in_ledger, counts.not_in_lake


@examples(quick=2, thorough=24)
@given(CHANCE, st.booleans())
def test_counts_equal_those_of_a_naive_implementation(random: Random, whole: bool) -> None:
    tables = asked_in(random, whole=whole)
    seen, expected = compare(tables, random), oracle.counts_of(tables)
    assert {name: plain(counts) for name, counts in seen.diff.communities.items()} == {
        name: (dict(own.transitions), sum(own.shifts), own.not_in_ledger, own.not_in_lake)
        for name, own in expected.items()
    }
    assert list(seen.diff.communities) == sorted(expected)
    total = seen.diff.total
    compared = [(served, now) for own in expected.values() for served, now in own.transitions.elements()]
    assert total.compared == len(compared)
    assert total.changed == sum(served != now for served, now in compared)
    assert total.comments == len(seen.rows) == len(list(oracle.firsts_of(tables)))
    shifts = [shift for own in expected.values() for shift in own.shifts]
    assert total.mean_score_shift_ppm == (pytest.approx(sum(shifts) / len(shifts)) if shifts else None)
    assert sum(seen.diff.served_by.values()) == total.compared


@examples(quick=2, thorough=24)
@given(CHANCE)
def test_rows_are_ordered_by_position_and_the_most_different_come_first(random: Random) -> None:
    tables = asked_in(random, whole=False)
    seen = compare(tables, random)
    assert seen.rows == oracle.rows_of(tables)
    most = oracle.most_of(tables)
    found = [(each.topic_id, each.partition, each.offset) for each in seen.diff.most_different]
    assert found == most[:MOST_DIFFERENT]
    by_place = {(row["topic_id"], row["partition"], row["offset"]): row for row in seen.rows}
    for each in seen.diff.most_different:
        row = by_place[each.topic_id, each.partition, each.offset]
        assert each.fields() == {**row, "score_shift_ppm": row["score_ppm"] - row["served_score_ppm"]}


@examples(quick=2, thorough=24)
@given(CHANCE)
def test_hours_are_counted_as_the_batch_counts_them(random: Random) -> None:
    tables = asked_in(random, whole=True)
    seen = compare(tables, random)
    assert {hour: astuple(sums) for hour, sums in seen.hours.items()} == oracle.hours_of(tables)


def test_the_same_rows_in_any_order_have_one_digest_and_another_score_has_another() -> None:
    tables = asked_in(Random(3), whole=True)
    diffs = [compare(tables, Random(seed)).diff for seed in range(3)]
    assert len({result(diff).digest for diff in diffs}) == 1
    # Two comments exchange what they score: every sum stays what it is.
    pairs = combinations([(worth, decided) for worth, decided in oracle.firsts_of(tables) if decided], 2)
    one, other = next(
        (one, other)
        for (one, here), (other, there) in pairs
        if (one.community, one.verdict, here.verdict) == (other.community, other.verdict, there.verdict)
        and one.score != other.score
    )
    tables.recomputed[place_of(one)] = replace(one, score=other.score)
    tables.recomputed[place_of(other)] = replace(other, score=one.score)
    other_diff = replace(compare(tables).diff, most_different=diffs[0].most_different)
    assert other_diff == replace(diffs[0], fingerprint=other_diff.fingerprint), "only single rows tell them apart"
    assert result(other_diff).digest != result(diffs[0]).digest


def test_an_interval_without_comments_is_reported() -> None:
    seen = compare(Tables())
    assert seen.rows == []
    assert seen.diff.communities == {}
    fields = seen.diff.total.fields()
    assert (fields["comments"], fields["changed_share"], fields["mean_score_shift_ppm"]) == (0, None, None)
    assert "Served by: none." in markdown(result(seen.diff, []))


def result(diff: VerdictDiff, hours: Sequence[HourPair] | None = None) -> RescoreResult:
    return RescoreResult("comments", WINDOW, CERTIFICATE, diff, hours)


def served(comments: int, state: str = "final", revision: int | None = 1) -> ServedHour:
    return ServedHour(Sums(comments, 1, 0, 10, 0), state, revision)


def test_hours_of_both_sides_are_paired(tmp_path: Path) -> None:
    first, second = ("t", "b", DAY_US), ("t", "a", DAY_US + HOUR_US)
    pairs = pair_hours({first: Sums(2, 0, 1, 30, 1)}, {first: served(3), second: served(5, "provisional", None)})
    assert [(pair.community, pair.start_us, pair.as_if) for pair in pairs] == [
        ("b", DAY_US, Sums(2, 0, 1, 30, 1)),
        ("a", DAY_US + HOUR_US, ZERO_SUMS),
    ]
    assert pair_hours({first: ZERO_SUMS}, {})[0].fields()["served"] is None
    assert by_community(pairs) == {
        "a": (ZERO_SUMS, Sums(5, 1, 0, 10, 0)),
        "b": (Sums(2, 0, 1, 30, 1), Sums(3, 1, 0, 10, 0)),
    }
    write_hours(pairs, tmp_path / "hours.parquet")
    rows = pq.read_table(tmp_path / "hours.parquet").to_pylist()
    assert [
        (row["community"], row["comments"], row["served_comments"], row["state"], row["revision"]) for row in rows
    ] == [
        ("b", 2, 3, "final", 1),
        ("a", 0, 5, "provisional", None),
    ]
    write_hours([], tmp_path / "none.parquet")
    assert pq.read_schema(tmp_path / "none.parquet") == pq.read_schema(tmp_path / "hours.parquet")


@pytest.mark.parametrize("interval", [Interval(300_000_000, HOUR_US), Interval(0, HOUR_US + 300_000_000)])
def test_an_interval_that_is_not_whole_hours_is_refused(interval: Interval) -> None:
    with pytest.raises(ConfigurationError, match="on the hour"):
        require_hours(interval)
    require_hours(Interval(0, 25 * HOUR_US))


def test_untrusted_names_are_escaped_in_the_summary() -> None:
    hostile = "a|b\n# <script>\x1b[31m"
    counts = VerdictCounts({(Verdict.ALLOW, Verdict.REMOVE): 1}, 5, 0, 0)
    text = markdown(result(VerdictDiff({hostile: counts}, {"1": 1}, [], ("1", "1"))))
    assert "<" not in text
    assert "\x1b" not in text
    lines = [line for line in text.splitlines() if line.startswith("| a")]
    assert len(lines) == 1
    heading = next(line for line in text.splitlines() if line.startswith("| community"))
    assert lines[0].count("|") == heading.count("|")


def test_only_equal_results_have_equal_names(tmp_path: Path) -> None:
    store = LakeStore(str(tmp_path / "lake"))
    table = tmp_path / "rows.parquet"
    table.write_bytes(b"rows")
    diff = VerdictDiff({}, {}, [], ("0", "0"))
    first = store_artifacts(store, result(diff), {"verdicts": table})
    assert store_artifacts(store, result(diff), {"verdicts": table}) == first
    assert first.hours is None
    assert json.loads(Path(first.json).read_text()) == json.loads(json.dumps(result(diff).fields()))
    assert Path(first.markdown).read_text() == markdown(result(diff))
    assert Path(first.verdicts).read_bytes() == b"rows"
    assert "_rescoring/comments/version=7/20231115T000000Z-20231116T000000Z/" in first.json
    other = store_artifacts(
        store, result(replace(diff, fingerprint=("1", "9")), []), {"verdicts": table, "hours": table}
    )
    assert other.json != first.json
    assert other.hours is not None
    kept = store.sizes("_rescoring")
    assert len(kept) == 3 + 4
    assert not any("_temporary" in path for path in kept)
