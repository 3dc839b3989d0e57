"""``moderation preview``: the dashboard Reconciliation as one page, for machines without Grafana."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.options import connected_settings
from cli.output import console, print_json
from cli.stack import DEFAULT_FOLDER, FolderOption


def preview(
    out: Annotated[Path, typer.Option(help="The HTML file to write; an older one is replaced.", dir_okay=False)],
    day: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="UTC day; the newest reconciled one if absent."),
    ] = None,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a day of dashboard Reconciliation as a static page: open it in any browser, send it to anybody.

    It shows the last revision: state, sums, the gap by cause, hours by community, at most 200 of the rows that differ.
    Nothing in it is loaded from anywhere. `moderation reconcile` makes the numbers; this only reads.

    --json prints {"out", "topic", "date", "defects": {"lost", "unexplained", "phantom", "residual"}}.
    """
    from grafana.preview import read_preview, render
    from grafana.source.variables import Addresses
    from moderation.adapters.kafka.topics import COMMENTS
    from moderation.settings import required

    settings = connected_settings(data_folder)
    day_preview = read_preview(
        required(settings.database_url, "database_url"),
        settings.topic_prefix + COMMENTS.name,
        day.date() if day is not None else None,
        Addresses(settings.mlflow_url, settings.model_name),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(render(day_preview), encoding="utf-8")
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
