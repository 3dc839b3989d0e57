"""Recomputes days from the lake and explains every difference to what the speed layer said.

## What
`archive` brings the lake to the end of the topics; `choose_days` picks the day of the run and earlier ones that were
never reconciled, are provisional, or have more in the lake by now; `reconcile` does them one at a time.

## When
Two o'clock every night, UTC, for the day before. The partition key is the day: a night is run again by its key.

## Inputs
Topics `comments` and `actions`, the lake, the ledger, the versions that served; parameters name other days only.

## Outputs
A revision of each day in `batch.runs`, all differences as Parquet beside the lake, the windows of schema `serving`.

## Re-run
Safe at any time: equal results add no revision. Without Airflow: `moderation reconcile --date 2026-11-23`.

## Triage
- Not retried: *DefectsFound* (a broken guarantee), *LakeDamaged*, *ModelRefused*, *TopicRefused*, *LedgerUnsafe*.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import CronPartitionTimetable, ExceptionRetryPolicy, Param, RetryAction, RetryRule, dag, task

STEPS = "batch.reconcile.tasks"
FOR_GOOD = ("DefectsFound", "LakeDamaged", "ModelRefused", "TopicRefused", "LedgerUnsafe")


@dag(
    # Not at once when it is installed within some hours after two, as Airflow's default has it: nothing is there yet.
    schedule=CronPartitionTimetable(
        "0 2 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d", run_immediately=timedelta(0)
    ),
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=20),
    tags=["batch", "reconciliation"],
    doc_md=__doc__,
    params={
        "day": Param(None, type=["null", "string"], format="date", description="Only this day."),
        "start": Param(None, type=["null", "string"], format="date", description="Only days from here on."),
        "end": Param(None, type=["null", "string"], format="date", description="Up to here, this day not included."),
        "engine": Param("duckdb", enum=["duckdb", "spark"], description="What works the comparison out."),
    },
    default_args={
        "owner": "moderation",
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=20),
        "retry_policy": ExceptionRetryPolicy([RetryRule(f"moderation.errors.{e}", RetryAction.FAIL) for e in FOR_GOOD]),
        "execution_timeout": timedelta(hours=4),
    },
)
def reconcile_windows() -> None:
    """Archive, choose days, reconcile them one after another."""

    @task
    def archive() -> Any:
        return import_module(STEPS).archive()

    @task
    def choose_days(params: Any = None, dag_run: Any = None) -> Any:
        return import_module(STEPS).choose_days(params, dag_run.partition_key, dag_run.run_after)

    @task(max_active_tis_per_dag=1)
    def reconcile(day: str, params: Any = None, ti: Any = None) -> Any:
        return import_module(STEPS).reconcile(day, params["engine"], ti.log_url)

    days = choose_days()
    archive() >> days >> reconcile.expand(day=days)


reconcile_windows()
