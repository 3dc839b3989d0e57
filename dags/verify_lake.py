"""Verifies the lake: every file has its size, no offset is missing, and bytes are read again in turn.

## What
One task, `verify`. It compares the size of every file with the manifest, checks that no offset is in no file, and
compares the SHA-256 of files: first of those that were never read, then of those that were read longest ago.

## When
Four o'clock every night, UTC. A run reads at most `gibibytes` of files, so that its duration does not grow with the
lake; the next nights continue. Airflow refuses a backfill. A logical date is ignored; the log contains that.

## Inputs
The lake and its manifest `batch.files`. Parameter `gibibytes`: how much is read.

## Outputs
The time of the check of each file in `batch.file_checks`. The task returns counts and the first damaged files.

## Re-run
Safe at any time; the lake is only read. Without Airflow, and for all bytes at once: `moderation lake verify`.

## Triage
- *LakeDamaged*: the message names files that are missing or altered, or offsets that are in no file. See
  docs/runbooks.md: The lake is damaged or was not verified.
- *LakeRefused*: the lake belongs to another database, e.g. after a restore: `moderation lake claim` shows both.
- Errors that need an operator fail the task at once; their message names the cause and the next step. If a server does
  not answer, the task is retried with growing delays.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, dag, task

from _defaults import DAG_OPTIONS, NO_BACKFILL, task_defaults


@dag(
    schedule=CronTriggerTimetable("0 4 * * *", timezone="UTC"),
    dagrun_timeout=timedelta(hours=8),
    tags=["batch", "lake"],
    doc_md=__doc__,
    params={"gibibytes": Param(64, type="integer", minimum=1, description="How much a run reads at most, in GiB.")},
    allowed_run_types=NO_BACKFILL,
    default_args=task_defaults(
        retries=3,
        first_delay=timedelta(minutes=1),
        longest_delay=timedelta(minutes=20),
        time_limit=timedelta(hours=4),
    ),
    **DAG_OPTIONS,
)
def verify_lake() -> None:
    """Verify the lake in one task."""

    @task
    def verify(params: Any = None) -> Any:
        return import_module("batch.archive.tasks").verify(params["gibibytes"])

    verify()


verify_lake()
