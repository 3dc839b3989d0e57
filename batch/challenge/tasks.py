"""The comparison of challenger and production as the task of its DAG calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batch.challenge.run import NothingToCompare, compare_challenger
from moderation.settings import load_settings


def compare(params: Mapping[str, object]) -> dict[str, Any]:
    """Compare; see :func:`batch.challenge.run.compare_challenger`.

    Returns:
        Figures and the URL of the MLflow run; or ``skipped``, the reason why there was nothing to compare.
    """
    result = compare_challenger(load_settings(), params, on_progress=print)
    return {"skipped": result.reason} if isinstance(result, NothingToCompare) else result.figures()
