"""Records that only the batch cannot recompute are part of a run's results, without servers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from batch.reconcile.engines import DuckDbEngine
from batch.reconcile.report import stored_report
from batch.reconcile.results import DayResults, read_results
from batch.record_isolation import Failure
from moderation.adapters.reconciliation.frozen_days import FrozenDay
from moderation.adapters.reconciliation.runs import StoredRun
from tests.support.reconcile_tables import Tables, write

FAILURES = [Failure("t", 0, 7, "ZeroDivisionError"), Failure("t", 1, 3, "KeyError")]


def results_with(folder: Path, failures: Sequence[Failure]) -> DayResults:
    work = folder / f"{len(list(folder.iterdir()))}"
    (work / "engine").mkdir(parents=True)
    results = DuckDbEngine().run(write(Tables(), work), work / "engine", lambda line: None)
    return read_results(results, work, failures=failures)


def test_number_and_positions_of_failing_records_change_the_digest_and_their_order_does_not(tmp_path: Path) -> None:
    none, one, both, reverse, other = (
        results_with(tmp_path, failures)
        for failures in ([], FAILURES[:1], FAILURES, FAILURES[::-1], [Failure("t", 0, 8, "ZeroDivisionError")])
    )
    assert [each.not_recomputed for each in (none, one, both, other)] == [0, 1, 2, 1]
    assert len({each.digest for each in (none, one, both, other)}) == 4
    assert both.digest == reverse.digest


def test_the_report_of_a_frozen_day_states_the_stored_number() -> None:
    last = StoredRun(3, "final", "duckdb", 1, 10, 10, {"late": 2}, residual=0, not_recomputed=4)
    report = stored_report(date(2026, 11, 1), last, FrozenDay("a test", 0))
    assert (report.defects["not_recomputed"], report.is_sound) == (4, False)
    assert report.fields()["not_recomputed"] == {"count": 4, "records": []}
