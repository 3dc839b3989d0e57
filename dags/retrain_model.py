"""Trains a model on the moderators' actions on the lake's comments, registers it, and tests it in the gate.

## What
`retrain` archives, trains and registers a version, by default with production's goals. `gate` compares it with
production on comments new to both. If it passes, it gets the alias `challenger`, and `offer` starts `promote_model`.

## When
Half past three every night, UTC; on a request of `watch_drift`; on a JSON object on topic `retrain-requests`, which may
state `reason`, `days` and `end`. A backfill, or a logical date over an hour old, trains on what was mature then.
`retrain` is *skipped* without labelled comments, and without newer ones than production's if the form is untouched.

## Inputs
Comments and actions (`kafka_default`, lake); the production version; the last night's reconciliation.

## Outputs
A version in MLflow with plots, card, lineage and `gate.json`. Asset `moderation-challenger`, which asks an approver.

## Re-run
Safe: it adds a version. Without Airflow: `moderation retrain`; equal lake and parameters give an equal model digest.

## Triage
- *TrainingError*: the examples are too few. A goal that they cannot meet is lowered and named; the gate decides.
- Errors that need an operator fail the task at once; their message names the cause and the next step. If a server does
  not answer, the task is retried with growing delays.
- `gate` stopped the version, or had too few comments: no failure. The reasons are in its log and in `gate.md`.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

import airflow.sdk as sdk
from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger

from _defaults import DAG_OPTIONS, kafka_settings, or_skip, task_defaults, topic
from _notifications import Announce
from batch.retrain.params import PARAMS

TASKS, CHALLENGER, MINUTE = "batch.retrain.tasks", sdk.Asset("moderation-challenger"), timedelta(minutes=1)
REQUESTS = MessageQueueTrigger(scheme="kafka", topics=[topic("retrain-requests")], apply_function=f"{TASKS}.accept")


@sdk.dag(
    schedule=sdk.AssetOrTimeSchedule(
        timetable=sdk.CronTriggerTimetable("30 3 * * *", timezone="UTC", run_immediately=timedelta(0)),
        assets=sdk.Asset("moderation-drift")
        | sdk.Asset("retrain-requests", watchers=[sdk.AssetWatcher("kafka", REQUESTS)]),
    ),
    dagrun_timeout=timedelta(hours=8),
    tags=["batch", "model"],
    doc_md=__doc__,
    params={name: sdk.Param(**field) for name, field in PARAMS.items()},
    default_args=task_defaults(2, first_delay=MINUTE * 2, longest_delay=MINUTE * 20, time_limit=timedelta(hours=3)),
    **DAG_OPTIONS,
)
def retrain_model() -> None:
    """Retrain, test the new version in the gate, ask for approval."""

    @sdk.task
    def retrain(params: Any = None, dag_run: Any = None, triggering_asset_events: Any = None, ti: Any = None) -> Any:
        extras = [event.extra for events in triggering_asset_events.values() for event in events]
        return or_skip(import_module(TASKS).retrain(params, dag_run, extras, ti.log_url, kafka_settings()))

    @sdk.task(on_success_callback=[Announce("gate")])
    def gate(report: Any) -> Any:
        return import_module(TASKS).gate(report["version"], report["auc_margin"])

    @sdk.task(outlets=[CHALLENGER])
    def offer(judged: Any, trained: Any, dag_run: Any = None, outlet_events: Any = None) -> None:
        extra = import_module("batch.promotion.tasks").offer(judged, trained["reason"], dag_run.triggering_user_name)
        outlet_events[CHALLENGER].extra = or_skip(extra)

    trained: Any = retrain()
    offer(gate(trained), trained)


retrain_model()
