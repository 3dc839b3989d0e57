"""Tells what another model version would have said of comments that were decided. Nothing that serves is touched.

## What
`choose` looks up a certified version; `rescore` scores the lake's comments of the window with it and holds verdicts and
scores against those served. With `as_if` also the hours as the batch would have them had it served all along.

## When
By hand, with a `day`, or with `start` and `end`: before a promotion, or when people ask.

## Inputs
The lake's comments by event time, the ledger's decisions, schema `serving`; the version: a number, or an alias.

## Outputs
Beside the lake in `_rescoring/`: Parquet by comment and by hour, JSON, a summary, which is in the log too; counts, the
most different comments by their ids, and where the files are, as the task's result. No topic, no table.

## Re-run
Safe at any time: equal results replace each other under one name. Without Airflow: `moderation rescore --date D`.

## Triage
- *ModelRefused*, *LakeDamaged*, *LedgerUnsafe*, in `choose` *ConfigurationError* (no window, or with `as_if` none of
  whole hours): the message names it. Not retried; servers that are away are.
- Many *not in lake*: archive first. Many *not in ledger*: the worker lags behind the lake.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule, dag, task

STEPS = "batch.rescore.tasks"
FOR_GOOD = ("LakeDamaged", "ModelRefused", "LedgerUnsafe")


def _failing(*errors: str) -> ExceptionRetryPolicy:
    return ExceptionRetryPolicy([RetryRule(f"moderation.errors.{error}", RetryAction.FAIL) for error in errors])


@dag(
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=10),
    tags=["batch", "model"],
    doc_md=__doc__,
    params={
        "day": Param(None, type=["null", "string"], format="date", description="A UTC day of event time; or:"),
        "start": Param(None, type=["null", "string"], format="date-time", description="Event times from here on"),
        "end": Param(None, type=["null", "string"], format="date-time", description="up to here, not included."),
        "version": Param("challenger", type="string", minLength=1, description="A version's number, or an alias."),
        "as_if": Param(False, type="boolean", description="Also hours as if it had served; window on the hour."),
    },
    default_args={
        "owner": "moderation",
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=20),
        "execution_timeout": timedelta(hours=4),
    },
)
def rescore_comments() -> None:
    """Choose once, rescore."""

    @task(retry_policy=_failing(*FOR_GOOD, "ConfigurationError"))
    def choose(params: Any = None) -> Any:
        return import_module(STEPS).choose(params)

    @task(retry_policy=_failing(*FOR_GOOD))
    def rescore(chosen: Any) -> Any:
        return import_module(STEPS).rescore(chosen)

    rescore(choose())


rescore_comments()
