"""Compares the challenger with production on the newest comments of the lake.

## What
Both models score the same comments. The report contains the share of comments whose verdicts differ, with an interval
and by community; reviews and removals a day of each model; and the 50 most different comments. The worker takes no
part, so the comparison does not slow it.

## When
Twenty past every hour, UTC, after `archive_topics`. A backfill, and a run with a logical date more than an hour before
its creation, compare the hours before that date.

## Inputs
The lake; the versions with the aliases `challenger` and `production`. Parameters: a number of hours of event time, or
an interval from `start` to `end`.

## Outputs
A run of the model's experiment in MLflow with `comparison.md`, `comparison.json` and a plot; `promote_model` shows the
newest one. Only these files contain excerpts of comments. The task returns figures and the URL of the run. It is
*skipped* while no version has the alias `challenger`, and if the lake has no comment of the hours.

## Re-run
Safe at any time: the same versions are compared on the same files only once. Without Airflow: `moderation challenge`.

## Triage
- *Skipped* is no error. The log and the task's result contain the reason.
- Errors that need an operator fail the task at once; their message names the cause and the next step. If a server does
  not answer, the task is retried with growing delays.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, dag, task

from _defaults import DAG_OPTIONS, or_skip, task_defaults


@dag(
    schedule=CronTriggerTimetable("20 * * * *", timezone="UTC", run_immediately=timedelta(0)),
    dagrun_timeout=timedelta(minutes=55),
    tags=["batch", "model"],
    doc_md=__doc__,
    params={
        "hours": Param(24, type="integer", minimum=1, maximum=744, description="Newest hours of event time."),
        "start": Param(None, type=["null", "string"], format="date-time", description="Start of an interval instead."),
        "end": Param(None, type=["null", "string"], format="date-time", description="End of it, not included."),
    },
    default_args=task_defaults(
        retries=2,
        first_delay=timedelta(minutes=1),
        longest_delay=timedelta(minutes=10),
        time_limit=timedelta(minutes=45),
    ),
    **DAG_OPTIONS,
)
def compare_challenger() -> None:
    """Compare in one task."""

    @task
    def compare(params: Any = None, dag_run: Any = None) -> Any:
        return or_skip(import_module("batch.challenge.tasks").compare(params, dag_run))

    compare()


compare_challenger()
