"""``moderation drift``: run the drift check of DAG ``watch_drift`` from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from batch.drift.params import COOL_DOWN_DAYS
from cli.options import (
    DEFAULT_FOLDER,
    DateOption,
    FolderOption,
    JsonOption,
    OldDateOption,
    connected_settings,
    required_date,
)
from cli.output import console, print_json, progress

if TYPE_CHECKING:
    from batch.drift.report import DriftReport


def drift(
    day: DateOption = None,
    old_day: OldDateOption = None,
    cool_down_days: Annotated[
        float, typer.Option(min=0, help="Days after a retraining or a request during which none is requested.")
    ] = COOL_DOWN_DAYS,
    maturity_hours: Annotated[
        float | None, typer.Option(min=0, help="Age at which labels are mature. Default: as the model was trained.")
    ] = None,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Compare a day of the lake with the training data of the production model; store the evidence in MLflow.

    Run `moderation archive` first. Drift is a finding, not an error: the exit code is 0. The command starts and
    promotes nothing; `moderation retrain` trains a new model.

    Example: `moderation drift --date 2026-11-23`

    --json prints {"day", "labels_day", "production", "comments", "labelled", "findings": {measure: {"psi", "chance",
    "comments", "has_drifted", "distance", "distance_chance"}}, "drifted": [measure], "asks", "held_back": null or
    the reason, "reason", "url", "skipped": null, or why nothing was checked}. Only the nightly DAG requests a
    retraining.
    """
    from batch.drift.run import check_drift

    settings = connected_settings(data_folder)
    with progress.status("starting") as status:
        report = check_drift(
            settings,
            required_date(day, old_day),
            cool_down_days=cool_down_days,
            maturity_hours=maturity_hours,
            on_progress=status.update,
        )
    if as_json:
        print_json(report.fields())
    else:
        _show(report)


def _show(report: DriftReport) -> None:
    if report.skipped is not None:
        console.print(report.summary)
        return
    table = Table(
        "measure", "comments", "PSI", "distance", title=f"{report.day} compared with version {report.production}"
    )
    for name, finding in report.findings.items():
        distance = "–" if finding.distance is None else f"{finding.distance:.3f}"
        style = "bold yellow" if finding.has_drifted else ""
        table.add_row(name, f"{finding.comments:,}", f"{finding.psi:.3f}", distance, style=style)
    console.print(table)
    console.print(report.summary)
    console.print(f"evidence: {report.url}", soft_wrap=True, highlight=False)
