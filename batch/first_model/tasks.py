"""The bootstrap as the task of its DAG calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batch.first_model.run import bootstrap as put_into_production
from moderation.settings import load_settings


def bootstrap(params: Mapping[str, Any], requested_by: str | None, requested_from: str) -> dict[str, Any]:
    """Put the bootstrap model into production; see :func:`batch.first_model.run.bootstrap`.

    Args:
        params: of the run: ``review_share`` and ``reason``.
        requested_by: who triggered it; None if that is not known.
        requested_from: URL of the run.

    Returns:
        The report's fields; ``skipped`` is the reason if the bootstrap model was in production already.
    """
    report = put_into_production(
        load_settings(),
        review_share=params["review_share"],
        by=requested_by or "Airflow",
        reason=params["reason"],
        requested_from=requested_from,
        on_progress=print,
    )
    already = None if report.is_new else f"version {report.version} is the bootstrap model and in production already"
    return {**report.fields(), "skipped": already}
