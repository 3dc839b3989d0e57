"""Recomputes days from the lake and explains every difference from the numbers of the speed layer.

## What
`archive` archives both topics up to their ends. `choose_days` selects the day of the run, and earlier days that have no
run, are provisional, or have new records within `MODERATION_RECONCILE_HORIZON_DAYS`. `reconcile` reconciles them one at
a time, newest first. *Skipped* are `archive` if another archiver is at work, and `reconcile` without a record.

## When
Two o'clock every night, UTC, for the day before. The partition key is the day: use the key to run a night again. A
logical date does its UTC day only, a backfill each day from `--from-date 2026-11-23` to before `--to-date 2026-11-26`.

## Inputs
The topics (connection `kafka_default`), the lake, the ledger, the versions that served. Parameters select other days.

## Outputs
A revision of each day in `batch.runs`, all differences as Parquet beside the lake, the windows of schema `serving`.

## Re-run
Safe at any time: equal results add no revision. Without Airflow: `moderation reconcile --date 2026-11-23`.

## Triage
- *DefectsFound*: a guarantee is broken; see docs/reconciliation.md. It closes the gate of `retrain_model`.
- Errors that need an operator fail the task at once; their message names the cause and the next step. If a server does
  not answer, the task is retried with growing delays.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import CronPartitionTimetable, Param, TriggerRule, dag, task

from _defaults import DAG_OPTIONS, kafka_settings, or_skip, task_defaults

TASKS = "batch.reconcile.tasks"


@dag(
    schedule=CronPartitionTimetable(
        "0 2 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d", run_immediately=timedelta(0)
    ),
    dagrun_timeout=timedelta(hours=20),
    tags=["batch", "reconciliation"],
    doc_md=__doc__,
    params={
        "day": Param(None, type=["null", "string"], format="date", description="Only this day."),
        "start": Param(None, type=["null", "string"], format="date", description="First day of a range."),
        "end": Param(None, type=["null", "string"], format="date", description="End of the range, not included."),
        "engine": Param("duckdb", enum=["duckdb", "spark"], description="Engine that runs the comparison."),
    },
    default_args=task_defaults(
        retries=3,
        first_delay=timedelta(minutes=1),
        longest_delay=timedelta(minutes=20),
        time_limit=timedelta(hours=4),
    ),
    **DAG_OPTIONS,
)
def reconcile_windows() -> None:
    """Archive, choose days, reconcile them one after another."""

    @task
    def archive() -> Any:
        return or_skip(import_module("batch.archive.tasks").archive(kafka=kafka_settings()))

    @task(trigger_rule=TriggerRule.NONE_FAILED)
    def choose_days(params: Any = None, dag_run: Any = None) -> Any:
        return import_module(TASKS).choose_days(params, dag_run)

    @task(max_active_tis_per_dag=1)
    def reconcile(day: str, params: Any = None, ti: Any = None) -> Any:
        return or_skip(import_module(TASKS).reconcile(day, params["engine"], ti.log_url))

    days = choose_days()
    archive() >> days >> reconcile.expand(day=days)


reconcile_windows()
