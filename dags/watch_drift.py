"""Holds a day's comments against those the production model was trained on, and asks for a retraining if they drifted.

## What
`watch` compares scores, lengths, unseen words, communities, removals and agreement with people; `has_to_ask` skips
`ask_for_retraining` unless something drifted and no cool-down holds. Nothing is promoted.

## When
Half past two every night, UTC, before the nightly retraining, for the day before.

## Inputs
The lake's comments of the day, and its labels of the newest day whose labels are mature; the version that serves.

## Outputs
An MLflow run of kind `drift` every night, with table and plot. Asset `moderation-drift`, which starts `retrain_model`.

## Re-run
Safe: another run of evidence, and another request only if the night had asked. Without Airflow: `moderation drift`.

## Triage
- Something drifted: no failure. Look at `drift.png`, then docs/drift.md.
- *NotInRegistry*, *ModelRefused*, *LakeDamaged*, *ConfigurationError*: the message says why. Not retried.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

import airflow.sdk as sdk

STEPS, DRIFT = "batch.drift.tasks", sdk.Asset("moderation-drift")
FOR_GOOD = ("ModelRefused", "LakeDamaged", "ConfigurationError")
RULES = [sdk.RetryRule(f"moderation.errors.{name}", sdk.RetryAction.FAIL) for name in FOR_GOOD]


@sdk.dag(
    # Not partitioned: Airflow hands the event of a run with a partition key to nobody who is not partitioned, too.
    schedule=sdk.CronTriggerTimetable("30 2 * * *", timezone="UTC", run_immediately=timedelta(0)),
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=4),
    tags=["batch", "model"],
    doc_md=__doc__,
    params={
        "day": sdk.Param(None, type=["null", "string"], format="date", description="Another day."),
        "cool_down_days": sdk.Param(0.8, type="number", minimum=0, description="None is asked for so long after one."),
        "maturity_hours": sdk.Param(None, type=["null", "number"], minimum=0, description="Else as in training."),
    },
    default_args={
        "owner": "moderation",
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=20),
        "retry_policy": sdk.ExceptionRetryPolicy(RULES),
        "execution_timeout": timedelta(hours=1),
    },
)
def watch_drift() -> None:
    """Watch, and ask if there is reason to."""

    @sdk.task
    def watch(params: Any = None, dag_run: Any = None) -> Any:
        return import_module(STEPS).watch(params, dag_run.run_after)

    @sdk.task.short_circuit
    def has_to_ask(report: Any) -> Any:
        return report["asks"]

    @sdk.task(outlets=[DRIFT])
    def ask_for_retraining(report: Any, outlet_events: Any = None) -> None:
        outlet_events[DRIFT].extra = {"reason": report["reason"], "evidence": report["url"]}

    report = watch()
    has_to_ask(report) >> ask_for_retraining(report)


watch_drift()
