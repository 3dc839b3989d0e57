"""``moderation rescore``: score decided comments with another model version and compare the verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, progress

if TYPE_CHECKING:
    from batch.rescore.run import RescoreReport


def rescore(
    start: Annotated[str, typer.Option(help="First event time, ISO 8601; UTC unless it names an offset.")] = "",
    end: Annotated[str, typer.Option(help="End of event time, exclusive.")] = "",
    day: Annotated[str, typer.Option("--date", help="UTC day instead of --start and --end, e.g. 2026-11-23.")] = "",
    old_day: Annotated[str, typer.Option("--day", hidden=True)] = "",
    version: Annotated[str, typer.Option(help="Model version: a number or an alias.")] = "challenger",
    as_if: Annotated[
        bool, typer.Option("--as-if", help="Also compute the hours as if the version had always served.")
    ] = False,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Score the comments of a time range with another version and compare the verdicts with those that were served.

    The command reads the comments of the lake whose event time is in the range (run `moderation archive` first) and
    the ledger's decisions on them. A comment record that arrived twice counts once. Only a certified version is
    opened. --as-if needs a start and an end on the hour. Results are stored next to the lake; equal results have the
    same name. The serving model, the ledger and the topics do not change.

    Example: `moderation rescore --date 2026-11-23 --version 7`

    Example: `moderation rescore --start 2026-11-23T07:00 --end 2026-11-23T12:00 --as-if`

    --json prints {"topic", "start", "end", "model_name", "version", "model_digest", "policy_version", "kernel_version",
    "total": COUNTS, "communities": [{"community", …COUNTS}], "served_by": {version: comments}, "most_different":
    [{"topic_id", "partition", "offset", "comment_id", "community", "event_time_us", "served_score_ppm",
    "served_verdict", "served_model_version", "score_ppm", "verdict", "score_shift_ppm"}], "as_if": null or
    {"communities": [{"community", "as_if": SUMS, "served": SUMS}], "hours": [{"topic_id", "community", "start_us",
    "end_us", "as_if": SUMS, "served": null or {…SUMS, "state", "revision"}}]}, "not_scored": {"count", "records":
    [{"topic_id", "partition", "offset", "error"}]}, "artifacts": {"verdicts", "hours", "markdown", "json"},
    "skipped": null, or why nothing was rescored}. COUNTS are {"comments", "compared", "changed", "changed_share",
    "mean_score_shift_ppm", "not_in_ledger", "not_in_lake", "transitions": {verdict served: {verdict now:
    comments}}}, share and mean are null if nothing is compared. SUMS are {"comments", "reviews", "removals",
    "score_sum", "late"}.
    """
    from batch.rescore.run import rescore_comments
    from batch.run_interval import resolve_interval

    window = resolve_interval({"start": start, "end": end, "day": day or old_day})
    settings = connected_settings(data_folder)
    with progress.status("reading the registry") as status:
        report = rescore_comments(settings, window, version, as_if=as_if, on_progress=status.update)
    if as_json:
        print_json(report.fields())
    else:
        show(report)


def show(report: RescoreReport) -> None:
    """Print the results of a rescoring."""
    from batch.rescore.hours import by_community
    from batch.rescore.report import as_if_rows, verdict_rows

    rescoring = report.result
    if rescoring.skipped is not None:
        console.print(f"nothing was rescored: {rescoring.skipped}", soft_wrap=True)
    version = f"version {rescoring.certificate.version}"
    named = {**rescoring.diff.communities, "all": rescoring.diff.total}
    console.print(_table(verdict_rows(named, between="\n"), f"Verdicts of {version} and served verdicts"))
    if rescoring.hours is not None:
        console.print(_table(as_if_rows(by_community(rescoring.hours)), f"As if {version} had always served"))
    console.print(f"summary, most different comments and rows: {escape(report.artifacts.markdown)}", highlight=False)


def _table(rows: Iterator[tuple[str, ...]], title: str) -> Table:
    table = Table(*next(rows), title=title)
    for row in rows:
        table.add_row(*map(escape, row))
    return table
