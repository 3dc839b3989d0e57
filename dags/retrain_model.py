"""Trains a model on what people did with the lake's comments, registers it, and judges whether it may challenge.

## What
`retrain` archives, trains and registers a version; `gate` holds it against production on the newest comments:
certified and alias `challenger`, or tag `moderation.gate=failed` with reasons.

## When
Half past three every night, UTC; asked by `watch_drift`; by a JSON object of the form's fields on `retrain-requests`.

## Inputs
Comments and actions of the lake; the version that serves; the last night's reconciliation.

## Outputs
A version in MLflow with plots, model card, lineage and `gate.json`. Nothing is promoted: see `promote_model`.

## Re-run
Safe: another version. Without Airflow: `moderation retrain`; equal lake and form give an equal model digest.

## Triage
- *TrainingError*, *GoalUnmet*, *ConfigurationError*, *LakeDamaged*, *ModelRefused*, *LedgerUnsafe*: the message says
  what is missing. Not retried.
- `gate` stopped the version: no failure; the reasons are in its log, in the version's tags and in `gate.md`.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

import airflow.sdk as sdk
from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger

from batch.retrain.params import PARAMS

STEPS = "batch.retrain.tasks"
TOPIC = MessageQueueTrigger(scheme="kafka", topics=["retrain-requests"], apply_function=f"{STEPS}.accept")
FOR_GOOD = ("TrainingError", "GoalUnmet", "ConfigurationError", "LakeDamaged", "ModelRefused", "LedgerUnsafe")
RULES = [sdk.RetryRule(f"moderation.errors.{name}", sdk.RetryAction.FAIL) for name in FOR_GOOD]


@sdk.dag(
    schedule=sdk.AssetOrTimeSchedule(
        timetable=sdk.CronTriggerTimetable("30 3 * * *", timezone="UTC", run_immediately=timedelta(0)),
        assets=sdk.Asset("moderation-drift")
        | sdk.Asset("retrain-requests", watchers=[sdk.AssetWatcher("kafka", TOPIC)]),
    ),
    is_paused_upon_creation=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=8),
    tags=["batch", "model"],
    doc_md=__doc__,
    params={name: sdk.Param(**field) for name, field in PARAMS.items()},
    default_args={
        "owner": "moderation",
        "retries": 2,
        "retry_delay": timedelta(minutes=2),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=20),
        "retry_policy": sdk.ExceptionRetryPolicy(RULES),
        "execution_timeout": timedelta(hours=3),
    },
)
def retrain_model() -> None:
    """Retrain, judge."""

    @sdk.task
    def retrain(params: Any = None, dag_run: Any = None, triggering_asset_events: Any = None, ti: Any = None) -> Any:
        extras = [event.extra for events in triggering_asset_events.values() for event in events]
        return import_module(STEPS).retrain(params, dag_run.run_after, extras, ti.log_url)

    @sdk.task
    def gate(report: Any) -> Any:
        return import_module(STEPS).gate(report["version"], report["auc_margin"])

    gate(retrain())


retrain_model()
