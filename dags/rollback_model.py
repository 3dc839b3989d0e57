"""Makes the model that served before serve again.

## What
`choose` looks which version serves and which one did before; `roll_back` moves alias `production` back, and the version
that served becomes `previous`. Nobody is asked: what serves does harm.

## When
When a person starts it.

## Inputs
Parameter: why. The aliases; after a move by hand in the MLflow UI, the version that was promoted last before it.

## Outputs
The aliases; the tags of both versions say who did it, when and why. Workers take it within seconds.

## Re-run
A new run goes forth again: twice is as before. Clearing `roll_back` repeats the same and changes nothing. Without
Airflow: `moderation rollback`.

## Triage
- *NotInRegistry*: no version served before. Promote one by its number: `promote_model`.
- *ModelRefused*: the one before does not verify any more; what serves stays. Promote another one.
- *OutdatedApproval*: somebody moved aliases between the two tasks. Start a new run.
- *ConfigurationError*: the message says what is missing.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule, dag, task

STEPS = "batch.promotion.tasks"
FOR_GOOD = ("OutdatedApproval", "ModelRefused", "ConfigurationError")


@dag(
    schedule=None,
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    tags=["model"],
    doc_md=__doc__,
    params={
        "reason": Param("what serves does harm", type="string", minLength=1, description="Why; kept with the versions.")
    },
    default_args={
        "owner": "moderation",
        "retries": 5,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=2),
        "retry_policy": ExceptionRetryPolicy([RetryRule(f"moderation.errors.{e}", RetryAction.FAIL) for e in FOR_GOOD]),
        "execution_timeout": timedelta(minutes=10),
    },
)
def rollback_model() -> None:
    """Choose, then roll back: a retry must not go forth again."""

    @task
    def choose() -> Any:
        return import_module(STEPS).plan_rollback()

    @task
    def roll_back(way: Any, params: Any = None, dag_run: Any = None) -> Any:
        return import_module(STEPS).roll_back(way, dag_run.triggering_user_name, params["reason"])

    roll_back(choose())


rollback_model()
