"""Compares the challenger with production on the newest comments of the lake.

## What
Both models score the same comments: on how many their verdicts differ, with an interval, by community; reviews and
removals a day of each; the 50 most different comments. A shadow on all traffic that costs the worker nothing.

## When
Twenty past every hour, UTC, behind `archive_topics`. Nothing is done while no version has the alias `challenger`.

## Inputs
The lake; the versions with the aliases `challenger` and `production`. Parameters: how many hours of event time, or the
window `start` to `end`.

## Outputs
A run of the model's experiment in MLflow with `comparison.md`, `comparison.json` and a picture; `promote_model` shows
the newest. Excerpts of comments are in these files only. The task returns figures and the run's address.

## Re-run
Safe at any time: the same versions on the same files are compared once. Without Airflow: `moderation challenge`.

## Triage
- *skipped* in the task's answer says why nothing was compared; it is no error.
- *ModelRefused*, *LakeDamaged*, *ConfigurationError*, *LedgerUnsafe*: the message names it. Not retried; all else is.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, ExceptionRetryPolicy, Param, RetryAction, RetryRule, dag, task

FOR_GOOD = ("ModelRefused", "LakeDamaged", "ConfigurationError", "LedgerUnsafe")


@dag(
    schedule=CronTriggerTimetable("20 * * * *", timezone="UTC", run_immediately=timedelta(0)),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=55),
    tags=["batch", "model"],
    doc_md=__doc__,
    params={
        "hours": Param(24, type="integer", minimum=1, maximum=744, description="Newest hours of event time."),
        "start": Param(None, type=["null", "string"], format="date-time", description="From here on instead."),
        "end": Param(None, type=["null", "string"], format="date-time", description="Up to here, not included."),
    },
    default_args={
        "owner": "moderation",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=10),
        "retry_policy": ExceptionRetryPolicy([RetryRule(f"moderation.errors.{e}", RetryAction.FAIL) for e in FOR_GOOD]),
        "execution_timeout": timedelta(minutes=45),
    },
)
def compare_challenger() -> None:
    """One task."""
    task(compare)()


def compare(params: Any = None) -> dict[str, Any]:
    """Compare; returns figures, or why there was nothing to compare."""
    from batch.challenge.run import NothingToCompare
    from batch.challenge.run import compare_challenger as compare_on_lake
    from moderation.settings import load_settings

    found = compare_on_lake(load_settings(), params, on_progress=print)
    return {"skipped": found.reason} if isinstance(found, NothingToCompare) else found.figures()


compare_challenger()
