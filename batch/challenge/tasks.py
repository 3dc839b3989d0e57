"""The comparison of challenger and production as the task of its DAG calls it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from batch.challenge.run import DEFAULT_HOURS, compare_challenger
from batch.job_log import COMPARE, job_logged
from batch.nothing_done import NothingDone
from batch.run_interval import RunDates
from moderation.settings import load_settings


def compare(params: Mapping[str, object], dag_run: Any) -> dict[str, Any]:
    """Compare; see :func:`batch.challenge.run.compare_challenger`.

    Args:
        params: of the run.
        dag_run: the Airflow run; its dates select the hours if the parameters name no interval.

    Returns:
        Figures and the URL of the MLflow run; or ``skipped``, the reason why there was nothing to compare.
    """
    settings = load_settings()
    with job_logged(settings, COMPARE, print) as log:
        result = compare_challenger(settings, hours_of_run(params, RunDates.of(dag_run)), on_progress=print)
        if isinstance(result, NothingDone):
            log.skipped = result.reason
            return result.fields()
        return {**result.figures(), "skipped": None}


def hours_of_run(params: Mapping[str, object], run: RunDates) -> dict[str, object]:
    """Return the parameters of a comparison with the interval that the run states.

    A logical date that a person or a backfill states ends the interval: the comparison covers the ``hours`` before it.
    Without one the parameters stay as they are, and the comparison covers the newest hours of the lake.

    Raises:
        ConfigurationError: the logical date is in the future.
    """
    if any(params.get(name) for name in ("day", "start", "end")) or (end := run.stated) is None:
        return dict(params)
    start = end - timedelta(hours=int(str(params.get("hours") or DEFAULT_HOURS)))
    return {**params, "start": start.isoformat(), "end": end.isoformat()}
