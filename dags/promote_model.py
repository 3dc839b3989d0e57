"""Asks an approver whether a version shall become production, and promotes it after approval.

## What
`show` collects gate, limits, workload, goals, the newest comparison with production, and the lineage of the version.
`approve` waits for the approver. `promote` moves `production`; the version that had it becomes `previous`.

## When
When a version passes the gate of `retrain_model` (asset `moderation-challenger`), or by hand; a logical date is
ignored. One run at a time: the next one waits. Without an answer within two days the version is rejected.

## Inputs
Parameters: the version, by default the one with the alias `challenger`, and the reason. The registry and MLflow runs.

## Outputs
The aliases, a row of `batch.promotions`, and the version's tags. Workers load the version within seconds.

## Re-run
Safe: clear `promote` to repeat it. After a rejection start a new run. Without Airflow: `moderation promote`.

## Triage
- `show` or `approve` skipped: the version is out of date, e.g. a newer one passed the gate. `approve` looks every ten
  minutes. The task's log has the reason.
- *OutdatedApproval*: challenger, production or the version's files changed after they were shown. Start a new run.
- *ApprovalRefused*: the approver requested it. Clear `approve` and let another approver answer.
- *PromotionRefused*: the gate did not judge the version or stopped it, or a reconciliation has a defect. The message
  has the next step, e.g. `moderation gate`.
- *ModelRefused*: the certificate of the version, or its files, do not verify.
- *promote* skipped: the version was rejected.
- Status 403 for an answer: the user has none of the roles `Approver`, `Op` and `Admin`.
- Errors that need an operator fail the task at once; their message names the cause and the next step. If a server does
  not answer, the task is retried with growing delays.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import Asset, Param, dag, task

from _approval import CurrentApproval
from _defaults import DAG_OPTIONS, or_skip, task_defaults

TASKS = "batch.promotion.tasks"


@dag(
    schedule=[Asset("moderation-challenger")],
    dagrun_timeout=timedelta(days=3),
    tags=["model"],
    doc_md=__doc__,
    params={
        "version": Param("challenger", type="string", pattern="^(challenger|[0-9]+)$", description="Or a number."),
        "reason": Param(None, type=["null", "string"], description="Required; stored with the version."),
    },
    default_args=task_defaults(
        3, first_delay=timedelta(seconds=20), longest_delay=timedelta(minutes=5), time_limit=timedelta(minutes=15)
    ),
    **DAG_OPTIONS,
)
def promote_model() -> None:
    """Show, ask, promote."""

    @task(show_return_value_in_logs=False)  # it contains excerpts of comments
    def show(params: Any = None, dag_run: Any = None, triggering_asset_events: Any = None) -> Any:
        extras = [event.extra for events in triggering_asset_events.values() for event in events]
        return or_skip(import_module(TASKS).show(params, dag_run.triggering_user_name, extras))

    approve = CurrentApproval(task_id="approve", shown_by="show", outdated=f"{TASKS}:outdated")

    @task
    def promote(ti: Any = None, dag_run: Any = None) -> Any:
        request = ti.log_url, f"{dag_run.dag_id} {dag_run.run_id}"
        return import_module(TASKS).promote(ti.xcom_pull("show"), ti.xcom_pull("approve"), *request)

    show() >> approve >> promote()


promote_model()
