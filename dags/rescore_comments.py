"""Scores comments that were decided with another model version; nothing that serves is changed.

## What
`choose` finds a certified version. `rescore` scores the lake's comments of the interval with it and compares verdicts
and scores with those served. With `as_if` it also computes the hours as the batch would have them with this version.

## When
Triggered by hand with a `day`, or with `start` and `end`, for example before a promotion. Without them, a logical date
more than an hour before the run's creation selects its UTC day.

## Inputs
The lake's comments by event time, the ledger's decisions, schema `serving`; the version: a number, or an alias.

## Outputs
Files in `_rescoring/` beside the lake: Parquet by comment and by hour, JSON, and a summary, which is also in the log.
The task returns counts, the most different comments by id, and the addresses of the files. It writes no topic or table.
`rescore` is *skipped* if neither lake nor ledger has a comment of the interval.

## Re-run
Safe at any time: equal results replace each other under one name. Without Airflow: `moderation rescore --date D`.

## Triage
- *ConfigurationError* in `choose`: no interval, or with `as_if` not whole hours.
- Errors that need an operator fail the task at once; their message names the cause and the next step. If a server does
  not answer, the task is retried with growing delays.
- Many *not in lake*: archive first. Many *not in ledger*: the worker lags behind the lake.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import Param, dag, task

from _defaults import DAG_OPTIONS, or_skip, task_defaults

TASKS = "batch.rescore.tasks"


@dag(
    schedule=None,
    dagrun_timeout=timedelta(hours=10),
    tags=["batch", "model"],
    doc_md=__doc__,
    params={
        "day": Param(None, type=["null", "string"], format="date", description="A UTC day of event time; or:"),
        "start": Param(None, type=["null", "string"], format="date-time", description="First event time."),
        "end": Param(None, type=["null", "string"], format="date-time", description="End, not included."),
        "version": Param("challenger", type="string", minLength=1, description="A version's number, or an alias."),
        "as_if": Param(False, type="boolean", description="Also compute hours; the interval must be whole hours."),
    },
    default_args=task_defaults(
        retries=3,
        first_delay=timedelta(minutes=1),
        longest_delay=timedelta(minutes=20),
        time_limit=timedelta(hours=4),
    ),
    **DAG_OPTIONS,
)
def rescore_comments() -> None:
    """Choose the version once, then rescore."""

    @task
    def choose(params: Any = None, dag_run: Any = None) -> Any:
        return import_module(TASKS).choose(params, dag_run)

    @task
    def rescore(chosen: Any) -> Any:
        return or_skip(import_module(TASKS).rescore(chosen))

    rescore(choose())


rescore_comments()
