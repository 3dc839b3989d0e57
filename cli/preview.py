"""``moderation preview``: write the dashboard Reconciliation as a static page, without Grafana."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json
from cli.output_files import check_output_file, write_file


def preview(
    out: Annotated[Path, typer.Option(help="HTML file to write; an existing file is replaced.", dir_okay=False)],
    day: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="UTC day. Default: the newest reconciled day."),
    ] = None,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Write the dashboard Reconciliation for one day as a static HTML page.

    The page shows the last revision: state, sums, the gap by cause, hours by community and at most 200 rows that
    differ. It loads nothing from the network. `moderation reconcile` computes the numbers; this command only reads.

    Example: `moderation preview --out day.html --date 2026-11-23`

    --json prints {"out", "topic", "date", "defects": {"lost", "unexplained", "phantom", "residual", "other"}}.
    """
    from grafana.preview import read_preview, render
    from grafana.source.variables import Addresses
    from moderation.adapters.kafka.topics import COMMENTS
    from moderation.settings import required

    settings = connected_settings(data_folder)
    check_output_file(out)
    day_preview = read_preview(
        required(settings.database_url, "database_url"),
        settings.topic_prefix + COMMENTS.name,
        day.date() if day is not None else None,
        Addresses(settings.mlflow_url, settings.model_name),
    )
    write_file(out, render(day_preview))
    if as_json:
        print_json(
            {
                "out": str(out),
                "topic": day_preview.topic,
                "date": day_preview.day.isoformat(),
                "defects": dict(day_preview.defects),
            }
        )
        return
    console.print(f"{out} shows {day_preview.day}: {day_preview.results['state'].rows[0][0]}", highlight=False)
