"""Compares a day's comments with the training data of the production model, and requests a retraining on drift.

## What
`watch` compares scores, lengths, unseen words, communities, removals and agreement with moderators. `has_to_ask` skips
`ask_for_retraining` unless a measure drifted and no cool-down is active. Nothing is promoted.

## When
Half past two every night, UTC, before the nightly retraining, for the day before. The logical date of a run is in the
day that it checks: a trigger with a date and a backfill do that day. A backfill from `--from-date 2026-11-23` to
`--to-date 2026-11-26` does three days. A day that is not over is refused.

## Inputs
The lake's comments of the day; the labels of the newest day whose labels are mature; the production version.

## Outputs
An MLflow run of kind `drift` every night, with table and plot. Asset `moderation-drift`, which starts `retrain_model`.
`watch` is *skipped* if no version is in production, and for a day without comments.

## Re-run
Safe: it adds an MLflow run, and a request only if the night had requested one. Without Airflow: `moderation drift`.

## Triage
- A measure drifted: no failure. Look at `drift.png`, then docs/drift.md.
- Errors that need an operator fail the task at once; their message names the cause and the next step. If a server does
  not answer, the task is retried with growing delays.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

import airflow.sdk as sdk

from _defaults import DAG_OPTIONS, or_skip, task_defaults
from _notifications import Announce

TASKS, DRIFT = "batch.drift.tasks", sdk.Asset("moderation-drift")


@sdk.dag(
    # Not a partitioned schedule: Airflow sends asset events of a run with a partition key to partitioned DAGs only.
    schedule=sdk.CronDataIntervalTimetable("30 2 * * *", timezone="UTC"),
    dagrun_timeout=timedelta(hours=4),
    tags=["batch", "model"],
    doc_md=__doc__,
    params={
        "day": sdk.Param(None, type=["null", "string"], format="date", description="Another day."),
        "cool_down_days": sdk.Param(0.8, type="number", minimum=0, description="Days without a further request."),
        "maturity_hours": sdk.Param(None, type=["null", "number"], minimum=0, description="Default: as in training."),
    },
    default_args=task_defaults(
        retries=3,
        first_delay=timedelta(minutes=1),
        longest_delay=timedelta(minutes=20),
        time_limit=timedelta(hours=1),
    ),
    **DAG_OPTIONS,
)
def watch_drift() -> None:
    """Check one day for drift, and request a retraining if there is a reason."""

    @sdk.task(on_success_callback=[Announce("drift")])
    def watch(params: Any = None, dag_run: Any = None) -> Any:
        return or_skip(import_module(TASKS).watch(params, dag_run))

    @sdk.task.short_circuit
    def has_to_ask(report: Any) -> Any:
        return report["asks"]

    @sdk.task(outlets=[DRIFT])
    def ask_for_retraining(report: Any, outlet_events: Any = None) -> None:
        outlet_events[DRIFT].extra = {"reason": report["reason"], "evidence": report["url"]}

    report = watch()
    has_to_ask(report) >> ask_for_retraining(report)


watch_drift()
