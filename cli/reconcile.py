"""``moderation reconcile``: recompute days from the lake and explain every difference from the speed layer."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from cli.options import DAY_FORMATS, DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, progress
from moderation.timestamps import day_of, now_us
from stream.exit_codes import DEFECT

if TYPE_CHECKING:
    from batch.reconcile.report import ReconcileReport

EngineName = Literal["duckdb", "spark"]
_MOST_SHOWN = 20


def reconcile(
    day: Annotated[datetime, typer.Option("--date", formats=DAY_FORMATS, help="UTC day of event time.")],
    until: Annotated[datetime | None, typer.Option(formats=DAY_FORMATS, help="Last day of several.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Compare all rows and score every record again; the results are equal.")
    ] = False,
    engine: Annotated[EngineName, typer.Option(help="Query engine; spark needs the extra `spark`.")] = "duckdb",
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Recompute a day from the lake and explain every difference from the results of the speed layer.

    Run `moderation archive` first: records that the lake lacks count as `unarchived`, and the day stays provisional.
    Safe to repeat; equal results keep the revision. The exit code is 3 if there is a defect: a lost, unexplained or
    phantom record, a decision or dead letter with another field than the lake's record gives, a pane that differs from
    the sum of its ledger rows (residual), or a record that only the batch cannot process (not_recomputed).

    Example: `moderation reconcile --date 2026-11-23`

    Example: `moderation reconcile --date 2026-11-01 --until 2026-11-07 --engine spark`

    --json prints {"date", "engine", "revision", "state", "panes", "batch_comments", "speed_comments", "causes": {name:
    rows}, "defects": {each cause that is a defect, "residual", "not_recomputed"}, "not_recomputed": {"count",
    "records": [{"topic_id", "partition", "offset", "error"}]}, "seconds": {step: seconds}, "waits_for": [why
    the day is provisional although all of it was processed], "digests": {"hours", "different", "exported"} (null with
    --full), "reused_files": files of the lake that an earlier run scored, "frozen": null or {"reason", "late_after"} if
    the day keeps the results of its last run, "stored_scores": [{"model_version", "rows", "reason"}] of versions that
    cannot be opened any more, "skipped": null, or why there was nothing to reconcile}; with --until {"days": [one such
    object a day]}.
    """
    days = _days(day.date(), (until or day).date())
    from batch.reconcile.engines import engine_of
    from batch.reconcile.tasks import reconcile_and_log

    chosen = engine_of(engine)
    settings = connected_settings(data_folder)
    reports: list[ReconcileReport] = []
    with progress.status("starting") as status:
        for each in days:
            reports.append(reconcile_and_log(settings, each, chosen, "moderation reconcile", status.update, full=full))
            if not as_json:
                show(reports[-1])
    if as_json:
        fields = [report.fields() for report in reports]
        print_json(fields[0] if until is None else {"days": fields})
    if not all(report.is_sound for report in reports):
        raise typer.Exit(DEFECT)


def show(report: ReconcileReport) -> None:
    """Print the results of a reconciliation."""
    table = Table("cause", "rows", title=f"{report.day}: {report.state}, revision {report.revision}")
    for cause, rows in report.causes.items():
        is_defect = cause in report.defects
        style = "" if not rows else "bold red" if is_defect else "yellow"
        table.add_row(cause, f"{rows:,}", style=style or "dim")
    residual, failing = report.defects["residual"], report.defects["not_recomputed"]
    table.add_row("residual (panes)", f"{residual:,}", style="bold red" if residual else "dim")
    table.add_row("not recomputed", f"{failing:,}", style="bold red" if failing else "dim")
    console.print(table)
    for each in report.not_recomputed[:_MOST_SHOWN]:
        console.print(f"not recomputed: {each}", soft_wrap=True)
    console.print(
        f"batch counts {report.batch_comments:,} comments, speed {report.speed_comments:,}, in {report.panes:,} panes"
    )
    if report.skipped is not None:
        console.print(f"nothing was reconciled: {report.skipped}", soft_wrap=True)
        return
    if report.frozen is not None:
        console.print(
            f"frozen, these are the results of its last run: {report.frozen.reason}; "
            f"{report.frozen.late_after:,} comments of the day came later",
            markup=False,
            soft_wrap=True,
        )
    for stored in report.stored_scores:
        console.print(
            f"stored scores: {stored.rows:,} records of version {stored.model_version}, which cannot be opened any "
            f"more: {stored.reason}",
            markup=False,
            soft_wrap=True,
        )
    for reason in report.waits_for[:_MOST_SHOWN]:
        console.print(f"provisional: {reason}", soft_wrap=True)
    verdict = "[green]every difference is explained[/]" if report.is_sound else "[bold red]defects: see above[/]"
    console.print(verdict)


def _days(first: date, last: date) -> list[date]:
    if last < first:
        raise typer.BadParameter(f"{last} is before {first}", param_hint="--until")
    if last > (today := day_of(now_us())):
        raise typer.BadParameter(f"{last} is in the future: today is {today} (UTC)", param_hint="--date, --until")
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
