"""Asks a person whether a version is to serve, and makes it serve if they say so.

## What
`show` gathers what the gate found, the newest comparison with production, and where the model comes from; `approve`
waits for a person; `promote` moves alias `production`, and the version that served becomes `previous`.

## When
When a person starts it, one at a time: the next waits for the answer. Two days without one are a rejection.

## Inputs
Parameters: the version, by default whatever is `challenger`, and why. The registry, and evidence in MLflow.

## Outputs
The aliases; the version's tags say who promoted it, when and why. Workers take it within seconds.

## Re-run
Safe: clear `promote` to repeat it. After a rejection start a new run. Without Airflow: `moderation promote`.

## Triage
- *OutdatedApproval*: challenger, production or the version's files changed since it was shown. Start a new run.
- *ModelRefused*: not certified, or files do not verify. *ConfigurationError*: read it. *promote* skipped: rejected.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule, dag, task

STEPS = "batch.promotion.tasks"
FOR_GOOD = ("OutdatedApproval", "ModelRefused", "ConfigurationError")


@dag(
    schedule=None,
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(days=3),
    tags=["model"],
    doc_md=__doc__,
    params={
        "version": Param("challenger", type="string", pattern="^(challenger|[0-9]+)$", description="Or its number."),
        "reason": Param(type="string", minLength=1, description="Why; kept with the version."),
    },
    default_args={
        "owner": "moderation",
        "retries": 3,
        "retry_delay": timedelta(seconds=20),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=5),
        "retry_policy": ExceptionRetryPolicy([RetryRule(f"moderation.errors.{e}", RetryAction.FAIL) for e in FOR_GOOD]),
        "execution_timeout": timedelta(minutes=15),
    },
)
def promote_model() -> None:
    """Show, ask, promote."""

    @task(show_return_value_in_logs=False)  # it holds what people wrote
    def show(params: Any = None) -> Any:
        return import_module(STEPS).show(params["version"])

    approve = ApprovalOperator(
        task_id="approve",
        subject="Is version {{ ti.xcom_pull('show')['version'] }} to serve? {{ params.reason }}",
        body="{{ ti.xcom_pull('show')['text'] }}",
        defaults="Reject",
        response_timeout=timedelta(days=2),
    )

    @task
    def promote(params: Any = None, ti: Any = None) -> Any:
        return import_module(STEPS).promote(ti.xcom_pull("show"), ti.xcom_pull("approve"), params["reason"])

    show() >> approve >> promote()


promote_model()
