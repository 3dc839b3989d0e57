"""``moderation challenge``: the challenger beside production on the lake's newest comments; without Airflow."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cli.options import connected_settings
from cli.output import console, percent, print_json, progress
from cli.stack import DEFAULT_FOLDER, FolderOption


def challenge(
    hours: Annotated[int, typer.Option(min=1, help="So many newest hours of event time that the lake has.")] = 24,
    start: Annotated[str | None, typer.Option(help="ISO 8601, with --end: this window instead.")] = None,
    end: Annotated[str | None, typer.Option(help="ISO 8601, not included.")] = None,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the versions with the aliases challenger and production on comments of the lake, and keep it in MLflow.

    Archive first (`moderation archive`). Excerpts of the most different comments are kept with the run and not printed.
    Nothing to compare is no error.

    --json prints {"models": {"challenger"|"production": {"version", "policy_version", "review_ppm", "remove_ppm"}},
    "start_us", "end_us", "records", "manifest_digest", "overall": group, "communities": {name: group}, "transitions":
    {verdict by production: {verdict by the challenger: comments}}, "url", "is_new": false if it was compared before}.
    A group is {"comments", "changed", "disagreement": {"value", "low", "high"}, "score_shift_ppm",
    "challenger"|"production": {"reviews_per_day", "removals_per_day"}}. Without anything to compare it prints
    {"skipped": why}.
    """
    from batch.challenge.run import NothingToCompare, compare_challenger

    settings = connected_settings(data_folder)
    with progress.status("asking the registry") as status:
        result = compare_challenger(settings, {"hours": hours, "start": start, "end": end}, say=status.update)
    if isinstance(result, NothingToCompare):
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
