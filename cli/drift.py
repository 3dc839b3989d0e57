"""``moderation drift``: what DAG ``watch_drift`` does, from the command line."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from batch.drift.params import COOL_DOWN_DAYS
from cli.options import connected_settings
from cli.output import console, print_json, progress
from cli.stack import DEFAULT_FOLDER, FolderOption

if TYPE_CHECKING:
    from batch.drift.report import DriftReport

_DAY = ["%Y-%m-%d"]


def drift(
    day: Annotated[datetime, typer.Option(formats=_DAY, help="UTC day of the comments' own times.")],
    cool_down_days: Annotated[
        float, typer.Option(min=0, help="So long after a retraining, or a request for one, none is asked for.")
    ] = COOL_DOWN_DAYS,
    maturity_hours: Annotated[
        float | None, typer.Option(min=0, help="When labels are mature; as the model was trained by default.")
    ] = None,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Hold a day of the lake against what the production model was trained on, and keep the evidence in MLflow.

    Archive first (`moderation archive`). Drift is a finding, no error: the exit code is 0. Nothing is started and
    nothing promoted; `moderation retrain` trains anew.

    --json prints {"day", "labels_day", "production", "comments", "labelled", "findings": {measure: {"psi", "chance",
    "comments", "has_drifted", "distance", "distance_chance"}}, "drifted": [measure], "asks", "held_back": null or
    why, "reason", "url"}. Only the nightly watch asks for a retraining.
    """
    from batch.drift.run import watch_day

    settings = connected_settings(data_folder)
    with progress.status("starting") as status:
        report = watch_day(
            settings,
            day.date(),
            cool_down_days=cool_down_days,
            maturity_hours=maturity_hours,
            say=status.update,
        )
    if as_json:
        print_json(report.fields())
    else:
        _show(report)


def _show(report: DriftReport) -> None:
    table = Table("measure", "comments", "PSI", "distance", title=f"{report.day} against version {report.production}")
    for name, finding in report.findings.items():
        distance = "–" if finding.distance is None else f"{finding.distance:.3f}"
        style = "bold yellow" if finding.has_drifted else ""
        table.add_row(name, f"{finding.comments:,}", f"{finding.psi:.3f}", distance, style=style)
    console.print(table)
    console.print(report.said)
    console.print(f"evidence: {report.url}", soft_wrap=True, highlight=False)
