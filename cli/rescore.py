"""``moderation rescore``: what another model version would have said of comments that were decided."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cli.options import connected_settings
from cli.output import console, print_json, progress
from cli.stack import DEFAULT_FOLDER, FolderOption

if TYPE_CHECKING:
    from batch.rescore.run import RescoreReport


def rescore(
    start: Annotated[str, typer.Option(help="First event time, ISO 8601; UTC where no offset is given.")] = "",
    end: Annotated[str, typer.Option(help="One after the last event time.")] = "",
    day: Annotated[str, typer.Option(help="A UTC day instead of start and end, e.g. 2026-11-23.")] = "",
    version: Annotated[str, typer.Option(help="Of the model: a number or an alias.")] = "challenger",
    as_if: Annotated[
        bool, typer.Option("--as-if", help="Also the hours as they would be had it served all along.")
    ] = False,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a window's comments with another version and compare with what was served. Nothing that serves is touched.

    Reads the comments of the lake whose event time lies in the window (archive first) and the ledger's decisions on
    them; a comment record that came twice counts once. Only a certified version is opened. With --as-if start and end
    lie on the hour. Results are kept beside the lake; equal ones have one name.

    --json prints {"topic", "start", "end", "model_name", "version", "model_digest", "policy_version",
    "kernel_version", "total": COUNTS, "communities": [{"community", …COUNTS}], "served_by": {version: comments},
    "most_different": [{"topic_id", "partition", "offset", "comment_id", "community", "event_time_us",
    "served_score_ppm", "served_verdict", "served_model_version", "score_ppm", "verdict", "score_shift_ppm"}], "as_if":
    null or {"communities": [{"community", "as_if": SUMS, "served": SUMS}], "hours": [{"topic_id", "community",
    "start_us", "end_us", "as_if": SUMS, "served": null or {…SUMS, "state", "revision"}}]}, "not_scored":
    {"count", "records": [{"topic_id", "partition", "offset", "error"}]}, "artifacts": {"verdicts", "hours",
    "markdown", "json"}}. COUNTS are {"comments", "compared", "changed", "changed_share",
    "mean_score_shift_ppm", "not_in_ledger", "not_in_lake", "transitions": {verdict served: {verdict now: comments}}},
    share and mean null where nothing is compared; SUMS are {"comments", "reviews", "removals", "score_sum", "late"}.
    """
    from batch.rescore.run import rescore_comments
    from batch.run_interval import resolve_window

    window = resolve_window({"start": start, "end": end, "day": day})
    settings = connected_settings(data_folder)
    with progress.status("asking the registry") as status:
        report = rescore_comments(settings, window, version, as_if=as_if, say=status.update)
    if as_json:
        print_json(report.fields())
    else:
        show(report)


def show(report: RescoreReport) -> None:
    """Print what a rescoring found."""
    from batch.rescore.hours import by_community
    from batch.rescore.report import as_if_rows, verdict_rows

    rescoring = report.rescoring
    version = f"version {rescoring.certificate.version}"
    named = {**rescoring.diff.communities, "all": rescoring.diff.total}
    console.print(_table(verdict_rows(named, between="\n"), f"Verdicts of {version} beside those served"))
    if rescoring.hours is not None:
        console.print(_table(as_if_rows(by_community(rescoring.hours)), f"As if {version} had served all along"))
    console.print(f"summary, most different comments and rows: {escape(report.artifacts.markdown)}", highlight=False)


def _table(rows: Iterator[tuple[str, ...]], title: str) -> Table:
    table = Table(*next(rows), title=title)
    for row in rows:
        table.add_row(*map(escape, row))
    return table
