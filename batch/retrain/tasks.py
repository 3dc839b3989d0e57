"""Retraining and gate as the tasks of the DAG call them; the triggerer calls :func:`accept`."""

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
from moderation.training.gate import GateLimits


def retrain(
    params: Mapping[str, Any], run_after: datetime, extras: Sequence[Mapping[str, Any]], started_by: str
) -> dict[str, Any]:
    """Archive, then retrain and register; see :func:`batch.retrain.run.retrain`.

    Args:
        params: of the run.
        run_after: scheduled start of the run.
        extras: of the asset events that started the run. The ``payload`` of a message states options; other events
            state only their ``reason``.
        started_by: URL of the run.

    Returns:
        The report's fields, the requested ``auc_margin`` for the gate, and the reason.
    """
    requests = [extra["payload"] if "payload" in extra else _reason(extra) for extra in extras]
    options, settings = parse_options(params, run_after, requests), load_settings()
    archive_topics(settings, on_progress=print)
    report = retrain_on(settings, options, started_by=started_by, on_progress=print)
    return {**report.fields(), "auc_margin": options.auc_margin, "reason": options.reason}


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
