"""Puts an untrained model into production, so that a system without labelled comments decides.

## What
`bootstrap` registers, certifies and serves a version that was trained on nothing: every text gets the same score, no
comment is removed, and a random share of all comments gets verdict `review`. The first version of `retrain_model` that
passes the gate replaces it; the gate does not compare with it. docs/first-start.md describes the whole way.

## When
Triggered by hand, once, when a new system has no model and no file to train one. A logical date is ignored.

## Inputs
Parameters: the share of comments that moderators review, and the reason. `MODERATION_EXPLORATION_KEY` draws comments,
`MODERATION_SIGNING_KEY` signs the certificate. The alias `production`; the ledger, which names versions that decided.

## Outputs
A version in MLflow whose certificate has the verdict `bootstrap`, the alias `production`, and a row of
`batch.promotions`. Workers that wait for a model load it within seconds. The task returns number and policy version.

## Re-run
Safe: the task is *skipped* if the bootstrap model is in production. Without Airflow: `moderation bootstrap`.

## Triage
- *ConfigurationError*, another version is in production or has decided: this is no first start. The message names it.
- *ConfigurationError*, `MODERATION_EXPLORATION_KEY`: the message states how to create a key. A share of 0 needs no key;
  then no comment is reviewed.
- Errors that need an operator fail the task at once; their message names the cause and the next step. If a server does
  not answer, the task is retried with growing delays.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import Param, dag, task

from _defaults import DAG_OPTIONS, or_skip, task_defaults
from batch.first_model.params import PARAMS


@dag(
    schedule=None,
    dagrun_timeout=timedelta(hours=1),
    tags=["model"],
    doc_md=__doc__,
    params={name: Param(**field) for name, field in PARAMS.items()},
    default_args=task_defaults(
        retries=5,
        first_delay=timedelta(seconds=10),
        longest_delay=timedelta(minutes=2),
        time_limit=timedelta(minutes=10),
    ),
    **DAG_OPTIONS,
)
def bootstrap_model() -> None:
    """Register, certify and serve the bootstrap model."""

    @task
    def bootstrap(params: Any = None, dag_run: Any = None, ti: Any = None) -> Any:
        tasks = import_module("batch.first_model.tasks")
        return or_skip(tasks.bootstrap(params, dag_run.triggering_user_name, ti.log_url))

    bootstrap()


bootstrap_model()
