"""``moderation compare-topics``: compare the published topics with the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from cli.options import DAY_FORMATS, DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, progress
from stream.exit_codes import DEFECT


def compare_topics(
    day: Annotated[
        datetime, typer.Option("--date", formats=DAY_FORMATS, help="UTC day of append; for panes of event time.")
    ],
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Compare decisions, alerts and closed panes of a day with topics `decisions`, `alerts` and `panes`.

    Every row of the ledger that must be published is compared by key and value, and every record that was published on
    the day, also one about a row of another day. A topic whose retention is over for the
    day is left out. DAG `reconcile_windows` does this every night. The exit code is 3 if a topic lacks a row, has one
    with another key or value, or has one that the ledger lacks; `moderation republish` sends missing rows again.

    Example: `moderation compare-topics --date 2026-11-23`

    --json prints {"date", "topics": [{"topic", "compared", "unpublished", "published_otherwise", "published_unknown",
    "examples": {kind: [positions]}, "skipped"}]}.
    """
    from batch.reconcile.published import compare_published

    settings = connected_settings(data_folder)
    with progress.status("starting") as status:
        checks = compare_published(settings, day.date(), on_progress=status.update)
    if as_json:
        print_json({"date": day.date().isoformat(), "topics": [check.fields() for check in checks]})
    else:
        table = Table("topic", "compared", "unpublished", "otherwise", "unknown", "skipped", title=f"{day.date()}")
        for check in checks:
            counts = (check.compared, check.unpublished, check.published_otherwise, check.published_unknown)
            table.add_row(check.published, *(f"{count:,}" for count in counts), check.skipped or "")
        console.print(table)
        for check in checks:
            for kind, places in check.examples.items():
                console.print(f"{check.published}: {kind}, first {'; '.join(places)}", soft_wrap=True, highlight=False)
    if any(check.defects for check in checks):
        raise typer.Exit(DEFECT)
