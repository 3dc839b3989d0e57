"""Gives the alias production back to the version that had it before.

## What
`choose` finds the production version and the one before it. `roll_back` moves the alias `production` back; the version
that had it becomes `previous`. No approval is needed, because the production version does harm.

## When
Triggered by hand. A logical date is ignored; the log contains that.

## Inputs
Parameter: the reason. The aliases. After a move by hand in the MLflow UI: the version that was promoted last before it.

## Outputs
The aliases, a row of `batch.promotions`, and the tags of both versions. Workers load the version within seconds.

## Re-run
A new run swaps the two versions again: running it twice restores the original state. Clearing `roll_back` repeats the
same rollback and changes nothing. Without Airflow: `moderation rollback`.

## Triage
- *NotInRegistry*: no version served before. Promote one by its number with `promote_model`.
- *ModelRefused*: the earlier version does not verify any more. The production version stays. Promote another one.
- *DatabaseUnavailable*: the aliases have moved, only the record is missing. The retry stores it and moves nothing.
- *OutdatedApproval*: the aliases changed between the two tasks. Start a new run.
- Errors that need an operator fail the task at once; their message names the cause and the next step. If a server does
  not answer, the task is retried with growing delays.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import Param, dag, task

from _defaults import DAG_OPTIONS, task_defaults

TASKS = "batch.promotion.tasks"


@dag(
    schedule=None,
    dagrun_timeout=timedelta(hours=1),
    tags=["model"],
    doc_md=__doc__,
    params={
        "reason": Param("what serves does harm", type="string", minLength=1, description="Stored with both versions.")
    },
    default_args=task_defaults(
        retries=5,
        first_delay=timedelta(seconds=10),
        longest_delay=timedelta(minutes=2),
        time_limit=timedelta(minutes=10),
    ),
    **DAG_OPTIONS,
)
def rollback_model() -> None:
    """Choose the versions once, so that a retry of the rollback does not swap them again."""

    @task
    def choose() -> Any:
        return import_module(TASKS).plan_rollback()

    @task
    def roll_back(plan: Any, params: Any = None, dag_run: Any = None, ti: Any = None) -> Any:
        request = ti.log_url, f"{dag_run.dag_id} {dag_run.run_id}"
        return import_module(TASKS).roll_back(plan, dag_run.triggering_user_name, params["reason"], *request)

    roll_back(choose())


rollback_model()
