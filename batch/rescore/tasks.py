"""Rescoring as the tasks of its DAG call it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from batch.progress import OnProgress
from batch.rescore.hours import require_hours
from batch.rescore.report import markdown
from batch.rescore.run import certified_version, rescore_comments
from batch.run_interval import Interval, RunDates, interval_of_run
from moderation.settings import load_settings


def choose(params: Mapping[str, Any], dag_run: Any) -> dict[str, Any]:
    """Resolve the parameters of a run. An alias is resolved once, so that every attempt scores with the same version.

    Args:
        params: ``day``, or ``start`` and ``end``; ``version``, a number or an alias; ``as_if``.
        dag_run: the Airflow run; a logical date that it states is the day if the parameters name no interval.

    Returns:
        ``version``, a number; ``start_us``, ``end_us``, ``as_if``.

    Raises:
        ConfigurationError: the parameters name no interval, or hours are requested and it is not whole hours.
        ModelRefused: there is no such version, or it has no certificate.
        RegistryUnavailable: the registry does not answer.
    """
    interval = interval_of_run(params, RunDates.of(dag_run), default=False)
    if params["as_if"]:
        require_hours(interval)
    certificate = certified_version(load_settings(), str(params["version"]).strip())
    return {"version": certificate.version, **asdict(interval), "as_if": bool(params["as_if"])}


def rescore(chosen: Mapping[str, Any], on_progress: OnProgress = print) -> dict[str, Any]:
    """Rescore what :func:`choose` returned; print and return the result. Single hours are only in the files.

    Raises:
        ModerationError: see :func:`batch.rescore.run.rescore_comments`.
    """
    interval = Interval(chosen["start_us"], chosen["end_us"])
    report = rescore_comments(
        load_settings(), interval, chosen["version"], as_if=chosen["as_if"], on_progress=on_progress
    )
    on_progress(markdown(report.result))
    fields = report.fields()
    if fields["as_if"] is not None:
        del fields["as_if"]["hours"]
    return fields
