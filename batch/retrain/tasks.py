"""Retraining and gate as the tasks of the DAG call them; the triggerer calls :func:`accept`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from batch.archive.tasks import archive_and_log
from batch.job_log import RETRAIN, job_logged
from batch.retrain.gate import gate as judge_version
from batch.retrain.new_labels import nothing_to_train
from batch.retrain.options import parse_options
from batch.retrain.params import PARAMS
from batch.retrain.run import retrain as retrain_on
from batch.run_interval import RunDates
from moderation.adapters.lake.schema import ARCHIVED
from moderation.settings import load_settings
from moderation.training.gate import GateLimits


def retrain(
    params: Mapping[str, Any],
    dag_run: Any,
    extras: Sequence[Mapping[str, Any]],
    started_by: str,
    kafka: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Archive, then retrain and register; see :func:`batch.retrain.run.retrain`.

    Args:
        params: of the run.
        dag_run: the Airflow run. The interval ends where labels are mature at its stated logical date, else at its
            scheduled start.
        extras: of the asset events that started the run. The ``payload`` of a message states reason and interval; other
            events state only their ``reason``.
        started_by: URL of the run.
        kafka: settings of Airflow's Kafka connection; those of the project's settings if None.

    Returns:
        The report's fields, the requested ``auc_margin`` for the gate, and the reason; or ``skipped``, the cause why
        nothing was trained: see :func:`batch.retrain.new_labels.nothing_to_train`.
    """
    requests = [extra["payload"] if "payload" in extra else _reason(extra) for extra in extras]
    run = RunDates.of(dag_run)
    options, settings = parse_options(params, run.stated or run.run_after, requests), load_settings()
    for line in options.ignored:
        print(f"ignored: {line}")  # noqa: T201
    archive_and_log(settings, ARCHIVED, kafka, print)
    with job_logged(settings, RETRAIN, print) as log:
        if (nothing := nothing_to_train(settings, options, is_asked=_is_asked([params, *requests]))) is not None:
            log.skipped = nothing.reason
            return nothing.fields()
        report = retrain_on(settings, options, started_by=started_by, on_progress=print)
    return {**report.fields(), "auc_margin": options.auc_margin, "reason": options.reason, "skipped": None}


def _is_asked(stated: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a person asked for a certain training: a form or a message with another value than the default."""
    return any(
        value not in (None, "", []) and name != "reason" and value != PARAMS.get(name, {}).get("default")
        for each in stated
        for name, value in each.items()
    )


def _reason(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {"reason": extra["reason"]} if "reason" in extra else {}


def gate(version: str, auc_margin: float) -> dict[str, Any]:
    """Test a version; see :func:`batch.retrain.gate.gate`. A version that does not pass does not fail the task."""
    return judge_version(load_settings(), version, limits=GateLimits(auc_margin=auc_margin), on_progress=print).fields()


def accept(message: Any) -> dict[str, Any] | None:
    """Return the options in a message of topic ``retrain-requests``; None, and no run, if it is not a JSON object.

    Args:
        message: of confluent-kafka.
    """
    try:
        request = orjson.loads(message.value() or b"")
    except orjson.JSONDecodeError:
        request = None
    if not isinstance(request, dict):
        print(f"retrain request at offset {message.offset()} is not a JSON object; it is ignored")  # noqa: T201
        return None
    return request or {"reason": ""}  # an empty request means the defaults, but Airflow ignores a false value
