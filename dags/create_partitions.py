"""Creates the day partitions of the ledger ahead of time.

## What
One task, `create`: it creates the partitions of `speed.decisions` for today and the next 30 days, and moves rows out of
the DEFAULT partition into the partition of their day. Workers and readers go on meanwhile.

## When
At one o'clock every day, UTC. A missed run harms nothing: the partitions reach 30 days ahead, and rows of a day without
a partition go into DEFAULT.

## Inputs
The partitions of `speed.decisions`, and the rows in `speed.decisions_default`.

## Outputs
The partitions. The task returns the days that were created, and how many rows were moved.

## Re-run
Safe at any time, also twice at once. Without Airflow: `moderation partitions`.

## Triage
- *TableLocked*: the message names the sessions that keep a lock. End them; the run is retried. Decisions go on.
- *ConfigurationError*: the role does not own the tables, or another table has a partition's name. It is not retried.
- *LedgerUnsafe*: the database is not migrated: `moderation migrate`. It is not retried.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, ExceptionRetryPolicy, RetryAction, RetryRule, dag, task

FOR_GOOD = ("ConfigurationError", "LedgerUnsafe")


@dag(
    schedule=CronTriggerTimetable("0 1 * * *", timezone="UTC"),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    tags=["speed"],
    doc_md=__doc__,
    default_args={
        "owner": "moderation",
        "retries": 5,
        "retry_delay": timedelta(minutes=2),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=30),
        "retry_policy": ExceptionRetryPolicy([RetryRule(f"moderation.errors.{e}", RetryAction.FAIL) for e in FOR_GOOD]),
        "execution_timeout": timedelta(hours=1),
    },
)
def create_partitions() -> None:
    """One task."""

    @task
    def create() -> Any:
        from moderation.adapters.sql.partitions import keep_partitions
        from moderation.settings import load_settings, required

        return keep_partitions(required(load_settings().database_url, "database_url")).fields()

    create()


create_partitions()
