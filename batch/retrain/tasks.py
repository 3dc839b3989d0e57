"""The steps of a retraining as Airflow's tasks call them, and what the triggerer makes of a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from batch.archive.run import archive_topics
from batch.retrain.gate import gate as judge_version
from batch.retrain.options import parse_options
from batch.retrain.run import retrain as retrain_on
from moderation.settings import load_settings
from moderation.training.gate import Limits


def retrain(
    params: Mapping[str, Any], run_after: datetime, extras: Sequence[Mapping[str, Any]], started_by: str
) -> dict[str, Any]:
    """Archive, then retrain and register; see :func:`batch.retrain.run.retrain`.

    Args:
        params: of the run's form.
        run_after: when the run was to begin.
        extras: of the asset events that made the run: a message's ``payload`` states options, anything else only its
            ``reason``.
        started_by: address of the run.

    Returns:
        The report's fields, and the ``auc_margin`` that was asked for, which the gate judges by.
    """
    requests = [extra["payload"] if "payload" in extra else _reason(extra) for extra in extras]
    options, settings = parse_options(params, run_after, requests), load_settings()
    archive_topics(settings, on_progress=print)
    report = retrain_on(settings, options, started_by=started_by, on_progress=print)
    return {**report.fields(), "auc_margin": options.auc_margin}


def _reason(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {"reason": extra["reason"]} if "reason" in extra else {}


def gate(version: str, auc_margin: float) -> dict[str, Any]:
    """Judge a version; see :func:`batch.retrain.gate.gate`. One that is stopped is no failure of the run."""
    return judge_version(load_settings(), version, limits=Limits(auc_margin=auc_margin), on_progress=print).fields()


def accept(message: Any) -> dict[str, Any] | None:
    """What a message of topic ``retrain-requests`` asks for; None, and nothing is started, if it is no JSON object.

    Args:
        message: of confluent-kafka.
    """
    try:
        request = orjson.loads(message.value() or b"")
    except orjson.JSONDecodeError:
        request = None
    if not isinstance(request, dict):
        print(f"retrain request at offset {message.offset()} is no JSON object; it is passed over")  # noqa: T201
        return None
    return request or {"reason": ""}  # an empty one asks for the form's values, but Airflow passes over what is false
