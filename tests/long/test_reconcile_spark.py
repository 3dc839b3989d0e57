"""DuckDB and Spark give the same reconciliation outcome, row by row, on the same scenarios."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import psutil
import pytest

from batch.reconcile.engines import SparkEngine
from moderation.contracts import Cause
from tests.support.java import why_no_spark
from tests.support.reconcile_checks import assert_expected
from tests.support.reconcile_faults import FAULTS, together
from tests.support.reconcile_oracle import expected_of
from tests.support.reconcile_scenario import world_of
from tests.support.reconcile_tables import Seen, Tables, reconcile

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkEngine]:
    """Spark on this machine; its JVM, which outlives a session, ends with the module."""
    if (reason := why_no_spark()) is not None:
        pytest.skip(reason)
    yield SparkEngine("local[2]", memory="1g")
    from pyspark import SparkContext

    gateway, SparkContext._gateway, SparkContext._jvm = SparkContext._gateway, None, None
    assert gateway is not None
    gateway.shutdown()
    gateway.proc.stdin.close()
    assert gateway.proc.wait(30) == 0
    assert java_processes() == []


def java_processes() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if each.name() == "java"]


def assert_equal(duck: Seen, spark: Seen) -> None:
    assert spark.differences == duck.differences
    assert spark.kept == duck.kept
    assert replace(spark.outcome, differences=duck.outcome.differences) == duck.outcome
    assert spark.outcome.digest == duck.outcome.digest


def broken(seed: int, most: int, number: int) -> Tables:
    """Scenario with faults of most kinds."""
    random = Random(seed)
    tables = world_of(random, most, number=number).tables()
    for _, moved in together(tables, random):
        tables = moved.tables
    return tables


@pytest.mark.proof  # the thousands of rows below have every fault
def test_duckdb_and_spark_agree_with_and_without_faults(spark: SparkEngine) -> None:
    tables = Tables()
    for number in range(6):
        tables.beside(world_of(Random(number), number=number, whole=number % 2 == 0).tables())
        tables.beside(broken(number, 20, number + 6))
    seen = reconcile(tables, spark)
    assert_expected(seen, expected_of(tables))
    assert_equal(reconcile(tables), seen)


@pytest.mark.proof
def test_duckdb_and_spark_agree_on_empty_input(spark: SparkEngine) -> None:
    assert_equal(reconcile(Tables()), reconcile(Tables(), spark))


@pytest.mark.budget(180)
def test_duckdb_and_spark_agree_on_thousands_of_rows_and_spark_listens_locally(spark: SparkEngine) -> None:
    random = Random(9)  # one with which every cause remains
    tables = world_of(random, 1_500).tables()
    happened = set()
    for name, moved in together(tables, random, share=1):
        tables = moved.tables
        happened.add(name)
    assert happened == set(FAULTS)
    assert len(tables.recomputed) > 3_000
    heard = set[str]()

    def listen(line: str) -> None:
        for each in java_processes():
            heard.update(at.laddr.ip for at in each.net_connections("tcp") if at.status == psutil.CONN_LISTEN)

    seen = reconcile(tables, spark, random, listen)
    assert {address.removeprefix("::ffff:") for address in heard} <= {"127.0.0.1", "::1"}
    assert heard
    assert {cause for cause, rows in seen.outcome.causes.items() if rows} == {cause.value for cause in Cause}
    assert_equal(reconcile(tables), seen)
    assert_expected(seen, expected_of(tables))
