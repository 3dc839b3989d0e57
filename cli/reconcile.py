"""``moderation reconcile``: a day recomputed from the lake, and every gap to the speed layer with its cause."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.options import connected_settings
from cli.output import console, print_json, progress
from cli.stack import DEFAULT_FOLDER, FolderOption

if TYPE_CHECKING:
    from batch.reconcile.engines import EngineName
    from batch.reconcile.run import ReconcileReport

DEFECT_EXIT_CODE = 3
_DAY = ["%Y-%m-%d"]
_MOST_SHOWN = 20


def reconcile(
    day: Annotated[datetime, typer.Option("--date", formats=_DAY, help="UTC day of the comments' own times.")],
    until: Annotated[datetime | None, typer.Option(formats=_DAY, help="Last of several days.")] = None,
    engine: Annotated[str, typer.Option(help="duckdb, or spark (extra `spark`).")] = "duckdb",
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Recompute a day from the lake and explain every difference to what the speed layer says.

    Archive first (`moderation archive`): what the lake lacks is `unarchived`, and the day stays provisional. Safe to
    repeat; equal results are one revision. Exit code 3 when there is a defect: something lost, unexplained or phantom,
    panes that are not what their ledger rows add up to (residual), or a record that only the batch fails at
    (not_recomputed).

    --json prints {"date", "engine", "revision", "state", "panes", "batch_comments", "speed_comments", "causes": {name:
    rows}, "defects": {"lost", "unexplained", "phantom", "residual", "not_recomputed"}, "not_recomputed": {"count",
    "records": [{"topic_id", "partition", "offset", "error"}]}, "seconds": {step: seconds}}; with --until
    {"days": [one such object a day]}.
    """
    from batch.reconcile.engines import engine_of
    from batch.reconcile.run import reconcile_day

    days = _days(day.date(), (until or day).date())
    chosen = engine_of(_engine_name(engine))
    settings = connected_settings(data_folder)
    reports: list[ReconcileReport] = []
    with progress.status("starting") as status:
        for each in days:
            reports.append(reconcile_day(settings, each, engine=chosen, on_progress=status.update))
            if not as_json:
                show(reports[-1])
    if as_json:
        fields = [report.fields() for report in reports]
        print_json(fields[0] if until is None else {"days": fields})
    if not all(report.is_sound for report in reports):
        raise typer.Exit(DEFECT_EXIT_CODE)


def show(report: ReconcileReport) -> None:
    """Print what a reconciliation found."""
    table = Table("cause", "rows", title=f"{report.day}: {report.state}, revision {report.revision}")
    for cause, rows in report.causes.items():
        is_defect = cause in report.defects
        style = "" if not rows else "bold red" if is_defect else "yellow"
        table.add_row(cause, f"{rows:,}", style=style or "dim")
    residual, failures = report.defects["residual"], report.not_recomputed
    table.add_row("residual (panes)", f"{residual:,}", style="bold red" if residual else "dim")
    table.add_row("not recomputed", f"{len(failures):,}", style="bold red" if failures else "dim")
    console.print(table)
    for each in failures[:_MOST_SHOWN]:
        console.print(f"not recomputed: {each}", soft_wrap=True)
    console.print(
        f"batch counts {report.batch_comments:,} comments, speed {report.speed_comments:,}, in {report.panes:,} panes"
    )
    verdict = "[green]every gap is explained[/]" if report.is_sound else "[bold red]defects: see above[/]"
    console.print(verdict)


def _days(first: date, last: date) -> list[date]:
    if last < first:
        raise typer.BadParameter(f"{last} lies before {first}", param_hint="--until")
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _engine_name(name: str) -> EngineName:
    if name == "duckdb":
        return "duckdb"
    if name == "spark":
        return "spark"
    raise typer.BadParameter(f"{name!r} is neither duckdb nor spark", param_hint="--engine")
