"""``moderation challenge``: compare challenger and production on the newest comments of the lake, without Airflow."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, percent, print_json, progress


def challenge(
    hours: Annotated[int, typer.Option(min=1, help="Compare the newest hours of event time in the lake.")] = 24,
    start: Annotated[
        str | None, typer.Option(help="Compare this time range instead: first event time, ISO 8601.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="End of the range, ISO 8601, exclusive.")] = None,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Compare the versions with the aliases challenger and production on comments of the lake; log to MLflow.

    Run `moderation archive` first. The MLflow run contains excerpts of the comments that differ most; the command does
    not print them. The exit code is 0 also if there is nothing to compare.

    Example: `moderation challenge --hours 48`

    --json prints {"models": {"challenger"|"production": {"version", "policy_version", "review_ppm", "remove_ppm"}},
    "start_us", "end_us", "records", "manifest_digest", "overall": group, "communities": {name: group}, "transitions":
    {verdict by production: {verdict by the challenger: comments}}, "url", "is_new": false if it exists}.
    A group is {"comments", "changed", "disagreement": {"value", "low", "high"}, "score_shift_ppm",
    "challenger"|"production": {"reviews_per_day", "removals_per_day"}}. If there is nothing to compare it prints
    {"skipped": reason}.
    """
    from batch.challenge.run import compare_challenger
    from batch.nothing_done import NothingDone

    settings = connected_settings(data_folder)
    with progress.status("asking the registry") as status:
        result = compare_challenger(settings, {"hours": hours, "start": start, "end": end}, on_progress=status.update)
    if isinstance(result, NothingDone):
        if as_json:
            print_json({"skipped": result.reason})
        else:
            console.print(f"nothing was compared: {result.reason}")
    elif as_json:
        print_json(result.figures())
    else:
        _print_result(result.figures())


def _print_result(figures: dict[str, Any]) -> None:
    from moderation.policy import Estimate

    versions = {name: model["version"] for name, model in figures["models"].items()}
    title = f"challenger {versions['challenger']} beside production {versions['production']}"
    table = Table("community", "comments", "verdicts differ", "reviews a day", "removals a day", title=title)
    for name, group in {"all": figures["overall"], **figures["communities"]}.items():
        daily = (
            f"{group['production'][each]:,.1f} → {group['challenger'][each]:,.1f}"
            for each in ("reviews_per_day", "removals_per_day")
        )
        table.add_row(escape(name), f"{group['comments']:,}", percent(Estimate(**group["disagreement"])), *daily)
    console.print(table)
    console.print(figures["url"], highlight=False, soft_wrap=True)
