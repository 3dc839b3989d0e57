"""Recomputes days from the lake and explains every difference from the numbers of the speed layer.

## What
`choose_days` selects the day of the run, and earlier days that have no run, are provisional, or have new records within
`MODERATION_RECONCILE_HORIZON_DAYS`; `reconcile` reconciles them, newest first. `compare_topics` compares the published
topics with the ledger. *Skipped*: another archiver works, there is no record, or the topics no longer keep the day.

## When
Two o'clock every night, UTC, for the day before. The partition key is the day: use the key to run a night again. A
logical date does its UTC day only, a backfill each day from `--from-date 2026-11-23` to before `--to-date 2026-11-26`.

## Inputs
The topics (connection `kafka_default`), lake, ledger, the versions that served. Parameters select other days.

## Outputs
A revision of each day in `batch.runs`, all differences as Parquet, windows in `serving`, `batch.published_checks`.

## Re-run
Safe at any time: equal results add no revision. By hand: `moderation reconcile`, `moderation compare-topics`.

## Triage
- *DefectsFound*: a guarantee is broken; see docs/reconciliation.md. It closes the gate of `retrain_model`.
- Errors that need an operator fail the task at once; else the task is retried with growing delays.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import CronPartitionTimetable, Param, TriggerRule, dag, task

from _defaults import DAG_OPTIONS, kafka_settings, or_skip, task_defaults

TASKS = "batch.reconcile.tasks"
DATE: Any = {"type": ["null", "string"], "format": "date"}
DELAYS: Any = {"first_delay": timedelta(minutes=1), "longest_delay": timedelta(minutes=20)}


@dag(
    schedule=CronPartitionTimetable(
        "0 2 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d", run_immediately=timedelta(0)
    ),
    dagrun_timeout=timedelta(hours=20),
    tags=["batch", "reconciliation"],
    doc_md=__doc__,
    params={
        "day": Param(None, **DATE, description="Only this day."),
        "start": Param(None, **DATE, description="First day of a range."),
        "end": Param(None, **DATE, description="End of the range, not included."),
        "engine": Param("duckdb", enum=["duckdb", "spark"], description="Engine that runs the comparison."),
    },
    default_args=task_defaults(retries=3, **DELAYS, time_limit=timedelta(hours=4)),
    **DAG_OPTIONS,
)
def reconcile_windows() -> None:
    """Archive, choose days, reconcile them one after another; compare the published topics."""

    @task
    def archive() -> Any:
        return or_skip(import_module("batch.archive.tasks").archive(kafka=kafka_settings()))

    @task(trigger_rule=TriggerRule.NONE_FAILED)
    def choose_days(params: Any = None, dag_run: Any = None) -> Any:
        return import_module(TASKS).choose_days(params, dag_run)

    @task
    def compare_topics(params: Any = None, dag_run: Any = None) -> Any:
        return or_skip(import_module(TASKS).compare_topics(params, dag_run, kafka_settings()))

    @task(max_active_tis_per_dag=1)
    def reconcile(day: str, params: Any = None, ti: Any = None) -> Any:
        return or_skip(import_module(TASKS).reconcile(day, params["engine"], ti.log_url))

    archive() >> (days := choose_days()) >> reconcile.expand(day=days)
    compare_topics()


reconcile_windows()
