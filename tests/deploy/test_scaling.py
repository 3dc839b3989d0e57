"""docs/scaling.md follows from the evidence, sizes grow with the rate, and the chart's defaults are large enough."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import helm_python
import pytest

from local.docs.evidence import commands
from local.docs.scaling.__main__ import main
from local.docs.scaling.assumptions import Assumptions
from local.docs.scaling.measurements import Measurements, read
from local.docs.scaling.page import PAGE, RATES, tables, updated_page
from local.docs.scaling.sizing import costs, size
from moderation.adapters.kafka.topics import COMMENTS
from tests.conftest import ROOT
from tests.deploy.chart import CHART

MEASURED, ASSUMED = read(), Assumptions()
EACH = pytest.mark.parametrize("rate", [1.0, *RATES])


def test_the_page_follows_from_the_evidence() -> None:
    assert updated_page(PAGE.read_text(), MEASURED, ASSUMED) == PAGE.read_text(), (
        "generate it again: python -m local.docs.scaling"
    )


@pytest.mark.parametrize("field", [field.name for field in fields(Measurements)])
def test_every_figure_affects_the_page(field: str) -> None:
    value = getattr(MEASURED, field)
    other: Any = ((1, 1.0), (2, 9_999.0)) if isinstance(value, tuple) else value * 7
    assert tables(replace(MEASURED, **{field: other}), ASSUMED) != tables(MEASURED, ASSUMED)


@pytest.mark.parametrize("field", [field.name for field in fields(Assumptions)])
def test_every_assumption_can_be_replaced_and_affects_the_tables(
    field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = PAGE.read_text()
    main([f"--{field.replace('_', '-')}", str(getattr(ASSUMED, field) / 30)])
    printed = capsys.readouterr().out
    defaults = tables(MEASURED, ASSUMED)
    assert defaults["sizes"] not in printed or defaults["costs"] not in printed
    assert PAGE.read_text() == before, "only the default assumptions are on the page"


def test_a_table_that_is_missing_or_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="sizes"):
        updated_page(PAGE.read_text().replace("table: sizes", "table: size"), MEASURED, ASSUMED)


@EACH
def test_workers_have_the_assumed_load_and_twice_as_many_partitions(rate: float) -> None:
    sizes = size(rate, MEASURED, ASSUMED)
    assert rate / sizes.workers <= MEASURED.worker_per_s * ASSUMED.load
    assert sizes.workers == 1 or rate / (sizes.workers - 1) > MEASURED.worker_per_s * ASSUMED.load
    assert sizes.partitions >= 2 * sizes.workers
    assert sizes.partitions % COMMENTS.partitions == 0


@EACH
def test_no_server_exceeds_the_assumed_capacity(rate: float) -> None:
    sizes = size(rate, MEASURED, ASSUMED)
    assert sizes.wal_mb_per_s / sizes.servers <= ASSUMED.server_wal_mb_per_s
    assert sizes.ledger_tb_per_day * ASSUMED.ledger_days / sizes.servers <= ASSUMED.server_tb


def test_statements_about_a_million_comments_a_second_are_true() -> None:
    sizes = size(1_000_000, MEASURED, ASSUMED)
    assert sizes.servers > 2, "a single ledger does not hold it, many times over"
    assert sizes.wal_mb_per_s > ASSUMED.server_wal_mb_per_s
    assert not sizes.is_one_machine_enough
    assert sizes.snapshot_hours > ASSUMED.reconcile_hours


def test_statements_about_the_limit_of_one_ledger_are_true() -> None:
    assert [size(rate, MEASURED, ASSUMED).servers for rate in (60_000, 62_000, 100_000)] == [1, 2, 2]
    assert size(100_000, MEASURED, replace(ASSUMED, ledger_days=4)).servers == 1
    assert size(80_500, MEASURED, ASSUMED).snapshot_hours < ASSUMED.reconcile_hours
    assert size(81_500, MEASURED, ASSUMED).snapshot_hours > ASSUMED.reconcile_hours
    page = PAGE.read_text()
    assert page.index("about 60,000") < page.index("about 81,000"), "in the order in which growth meets them"


def test_statements_about_a_night_on_the_measured_machine_are_true() -> None:
    assert size(2_100, MEASURED, ASSUMED).scoring_hours < ASSUMED.reconcile_hours
    assert size(2_200, MEASURED, ASSUMED).scoring_hours > ASSUMED.reconcile_hours
    assert "from about 2,100 comments a second on" in PAGE.read_text()


def test_the_smallest_rate_is_within_what_was_measured() -> None:
    sizes = size(1_000, MEASURED, ASSUMED)
    assert sizes.beyond < 1
    assert sizes.is_one_machine_enough
    assert sizes.workers == 1


def test_a_measured_day_takes_the_measured_time() -> None:
    rows, seconds = MEASURED.reconcile[-1]
    assert size(rows / 86_400, MEASURED, ASSUMED).duckdb_hours * 3_600 == pytest.approx(seconds)


def test_costs_are_proportional_once_workers_are_full() -> None:
    hundred_thousand, million = (
        sum(costs(size(rate, MEASURED, ASSUMED), MEASURED, ASSUMED).values()) for rate in RATES[1:]
    )
    assert hundred_thousand == pytest.approx(million, rel=0.01)
    free = replace(ASSUMED, vcpu_hour=0, gb_hour=0, disk_gb_month=0, object_gb_month=0)
    assert sum(costs(size(1_000, MEASURED, free), MEASURED, free).values()) == 0


def test_the_evidence_can_be_made_again() -> None:
    made = commands(None).keys() | commands(ROOT).keys()
    assert {"stream", "soak", "footprint", "archive", "batch", "scored_day"} <= made


def test_the_charts_memory_limit_covers_the_computed_memory() -> None:
    with helm_python.Chart.load(CHART) as chart:
        limit = chart.values["worker"]["resources"]["limits"]["memory"]
    most = max(size(rate, MEASURED, ASSUMED).worker_gb for rate in RATES)
    assert int(limit.removesuffix("Gi")) * 1024**3 >= most * 1e9
