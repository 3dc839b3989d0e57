"""The steps of a run of ``rescore_comments``, as its tasks call them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from batch.progress import OnProgress
from batch.rescore.hours import require_hours
from batch.rescore.report import markdown
from batch.rescore.run import certified_version, rescore_comments
from batch.run_interval import Interval, resolve_interval
from moderation.settings import load_settings


def choose(params: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is about: an alias is looked up once, so that every attempt scores with the same version.

    Args:
        params: ``day``, or ``start`` and ``end``; ``version``, a number or an alias; ``as_if``.

    Returns:
        ``version``, a number; ``start_us``, ``end_us``, ``as_if``.

    Raises:
        ConfigurationError: the parameters name no window, or one that cuts an hour while hours are asked for.
        ModelRefused: there is no such version, or it is not certified.
        RegistryUnavailable: the registry does not answer.
    """
    window = resolve_interval(params)
    if params["as_if"]:
        require_hours(window)
    certificate = certified_version(load_settings(), str(params["version"]).strip())
    return {"version": certificate.version, **asdict(window), "as_if": bool(params["as_if"])}


def rescore(chosen: Mapping[str, Any], on_progress: OnProgress = print) -> dict[str, Any]:
    """Rescore what was chosen, say what came of it, and return it; single hours are in the files only.

    Raises:
        Everything that :func:`batch.rescore.run.rescore_comments` raises.
    """
    window = Interval(chosen["start_us"], chosen["end_us"])
    report = rescore_comments(
        load_settings(), window, chosen["version"], as_if=chosen["as_if"], on_progress=on_progress
    )
    on_progress(markdown(report.result))
    fields = report.fields()
    if fields["as_if"] is not None:
        del fields["as_if"]["hours"]
    return fields
