"""Asks an approver whether a version shall become production, and promotes it after approval.

## What
`show` collects the report of the gate, the newest comparison with production, and the lineage of the model. `approve`
waits for the approver. `promote` moves the alias `production`; the version that had it becomes `previous`.

## When
Triggered by hand; a logical date is ignored. One run at a time. Without an answer within two days it is rejected.

## Inputs
Parameters: the version, by default the one with the alias `challenger`, and the reason. The registry and MLflow runs.

## Outputs
The aliases. The version's tags contain who promoted it, when and why. Workers load it within seconds.

## Re-run
Safe: clear `promote` to repeat it. After a rejection start a new run. Without Airflow: `moderation promote`.

## Triage
- *OutdatedApproval*: challenger, production or the version's files changed after they were shown. Start a new run.
- *ModelRefused*: the version has no certificate, or its files do not verify.
- *promote* skipped: the version was rejected.
- Errors that need an operator fail the task at once; their message names the cause and the next step. If a server does
  not answer, the task is retried with growing delays.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, task

from _defaults import DAG_OPTIONS, task_defaults

TASKS = "batch.promotion.tasks"


@dag(
    schedule=None,
    dagrun_timeout=timedelta(days=3),
    tags=["model"],
    doc_md=__doc__,
    params={
        "version": Param("challenger", type="string", pattern="^(challenger|[0-9]+)$", description="Or a number."),
        "reason": Param(type="string", minLength=1, description="Stored with the version."),
    },
    default_args=task_defaults(
        retries=3,
        first_delay=timedelta(seconds=20),
        longest_delay=timedelta(minutes=5),
        time_limit=timedelta(minutes=15),
    ),
    **DAG_OPTIONS,
)
def promote_model() -> None:
    """Show, ask, promote."""

    @task(show_return_value_in_logs=False)  # it contains excerpts of comments
    def show(params: Any = None) -> Any:
        return import_module(TASKS).show(params["version"])

    approve = ApprovalOperator(
        task_id="approve",
        subject="Is version {{ ti.xcom_pull('show')['version'] }} to serve? {{ params.reason }}",
        body="{{ ti.xcom_pull('show')['text'] }}",
        defaults="Reject",
        response_timeout=timedelta(days=2),
    )

    @task
    def promote(params: Any = None, ti: Any = None) -> Any:
        return import_module(TASKS).promote(ti.xcom_pull("show"), ti.xcom_pull("approve"), params["reason"])

    show() >> approve >> promote()


promote_model()
