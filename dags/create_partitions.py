"""Creates the day partitions of the ledger ahead of time.

## What
One task, `create`: it creates the partitions of `speed.decisions` for today and the next 30 days, and moves rows from
the DEFAULT partition into the partition of their day. Workers and readers continue meanwhile.

## When
At one o'clock every day, UTC. A missed run does no harm: partitions exist for 30 days ahead, and rows of a day without
a partition go into DEFAULT. Airflow refuses a backfill. A logical date is ignored; the log contains that.

## Inputs
The partitions of `speed.decisions`, and the rows in `speed.decisions_default`.

## Outputs
The partitions. The task returns the days that it created, and how many rows it moved.

## Re-run
Safe at any time, also while another run is active. Without Airflow: `moderation partitions`.

## Triage
- *TableLocked*: the message names the sessions that hold a lock. End them; the run is retried. Decisions continue.
- *ConfigurationError*: the role does not own the tables, or another table has a partition's name.
- *LedgerUnsafe*: the database is not migrated: run `moderation migrate`.
- Errors that need an operator fail the task at once; their message names the cause and the next step. If a server does
  not answer, the task is retried with growing delays.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task

from _defaults import DAG_OPTIONS, NO_BACKFILL, task_defaults


@dag(
    schedule=CronTriggerTimetable("0 1 * * *", timezone="UTC"),
    dagrun_timeout=timedelta(hours=6),
    tags=["speed"],
    doc_md=__doc__,
    allowed_run_types=NO_BACKFILL,
    default_args=task_defaults(
        retries=5,
        first_delay=timedelta(minutes=2),
        longest_delay=timedelta(minutes=30),
        time_limit=timedelta(hours=1),
    ),
    **DAG_OPTIONS,
)
def create_partitions() -> None:
    """Create partitions in one task."""

    @task
    def create() -> Any:
        from moderation.adapters.sql.partitions import keep_partitions
        from moderation.settings import load_settings, required

        return keep_partitions(required(load_settings().database_url, "database_url")).fields()

    create()


create_partitions()
