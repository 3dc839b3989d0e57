"""``moderation import``: show how files are understood, and write them in the form of `moderation generate`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cli.import_options import ImportOptions, with_import_options
from cli.labelled_input import actions_of, save_mapping, show_plan, stated_of
from cli.options import JsonOption
from cli.output import console, json_bytes, print_json, printable, utc
from cli.output_files import check_output_file, check_output_folder, replaced_folder
from cli.progress_bar import shown_progress

if TYPE_CHECKING:
    from moderation.datasets.importer import Import, ImportPlan, ImportReport
    from moderation.datasets.synthetic import Arrival

REPORT = "import.json"
_SHOWN_TEXT = 70


@with_import_options(former=False)
def import_files(
    given: ImportOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write: comments.jsonl, arrivals.jsonl, actions.jsonl and import.json.", file_okay=False
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show how the files are understood; write and refuse nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Import comments, with or without labels, from CSV, JSON or Parquet files, compressed or not.

    Without --out it shows the first rows as understood and the counts. With --out it writes a folder that train,
    report, compare, source and replay read. Rows without a label are written, too; trainings leave them out.

    Example: `moderation import dump.zst --dry-run`

    Example: `moderation import comments.csv --columns "label=toxic>=0.5,time=posted:dmy" --out history`

    --json prints {"files": [text], "mapping": {…}, "actions": null or {…}, "rows", "used", "removed", "unlabelled",
    "times_made_up", "left_out": {reason: n}, "repaired": {kind: n}, "languages": {name: share of the first texts},
    "first_rows", "first_left_out", "refused": null or the error that the import without --dry-run has, "out": null or
    the folder, "seconds"}. Only first_rows contains texts.
    """
    from moderation.datasets.importer import check_acceptance, find_inputs, plan_import, survey
    from moderation.datasets.importer.importing import Import
    from moderation.datasets.importer.languages import guess_languages
    from moderation.datasets.recorded import ACTIONS, ARRIVALS, COMMENTS
    from moderation.errors import DatasetError

    if out is not None and dry_run:
        raise typer.BadParameter("give either --dry-run or --out FOLDER")
    if out is not None:
        inputs_read = given.inputs
        check_output_folder(out, inputs_read)
        for name in (COMMENTS, ARRIVALS, ACTIONS, REPORT) if out.is_dir() else ():
            check_output_file(out / name, inputs_read)
    started = time.monotonic()
    refused = None
    with shown_progress("starting") as status:
        inputs = find_inputs(given.names, lambda: sys.stdin.buffer)
        plan = plan_import(
            inputs,
            stated_of(given),
            needs_labels=False,
            actions=actions_of(given, status.update),
            on_progress=status.update,
        )
        if plan.is_history:
            raise DatasetError(plan.name, "it has the form of `moderation generate` already", "Use it as it is.")
        show_plan(plan)
        report, repeats = survey(plan, status.update)
        try:
            check_acceptance(plan, report, given.accepted)
        except DatasetError as error:
            if out is not None:
                if not as_json:
                    _print_report(report)
                raise
            refused = str(error)
        save_mapping(given, plan)
        if out is not None:
            _write(out, Import(plan, report, repeats), plan, report, status.update)
    if as_json:
        print_json(
            {
                "files": [file.summary() for file in plan.files],
                "mapping": plan.lineage(),
                "actions": None if plan.actions is None else plan.actions.fields(),
                **report.fields(),
                "languages": {name: round(share, 3) for name, share in guess_languages(report.first_texts).items()},
                "first_rows": [row.fields() for row in report.first_rows],
                "first_left_out": [
                    {"file": row.file, "line": row.line, "reason": row.reason, "cause": row.cause}
                    for row in report.first_left_out
                ],
                "refused": refused,
                "out": None if out is None else str(out),
                "seconds": round(time.monotonic() - started, 1),
            }
        )
        return
    _print_report(report)
    if refused is not None:
        console.print(f"An import would be refused: {refused}", markup=False, highlight=False, soft_wrap=True)
    if out is not None:
        console.print(f"{out} written in {time.monotonic() - started:.1f} s", markup=False, highlight=False)


def _write(
    out: Path, imported: Import, plan: ImportPlan, report: ImportReport, on_progress: Callable[[str], None]
) -> None:
    from moderation.datasets.recorded import ARRIVALS, write_history
    from stream.source.external_sort import by_arrival

    with replaced_folder(out, last=(ARRIVALS,)) as folder:
        arrivals = by_arrival(_arrivals(imported, on_progress))
        actions = {} if plan.actions is None else {"actions": plan.actions.fields()}
        write_history(folder, arrivals, lambda count: on_progress(f"writing: {count:,} records"))
        (folder / REPORT).write_bytes(json_bytes({"mapping": plan.lineage(), **actions, **report.fields()}))


def _arrivals(imported: Import, on_progress: Callable[[str], None]) -> Iterator[Arrival]:
    """Yield comments at their event times and removals at theirs."""
    from moderation.contracts import to_json
    from moderation.datasets.synthetic import Arrival

    for row in imported.comments(on_progress):
        comment, action, label = row.comment, row.action, row.removed if row.has_label else None
        yield Arrival(comment.event_time_us, "comments", comment.comment_id, to_json(comment), None, label)
        if action is not None:
            yield Arrival(action.action_time_us, "actions", action.comment_id, to_json(action), None, None)


def _print_report(report: ImportReport) -> None:
    from moderation.datasets.importer.languages import guess_languages, language_text

    if report.first_rows:
        table = Table("id", "community", "time (UTC)", "label", "text", title="First rows as understood")
        for row in report.first_rows:
            label = "none" if row.removed is None else "removed" if row.removed else "kept"
            when = utc(row.event_time_us) if row.is_time_known else "made up"
            text = printable(" ".join(row.body.split()))
            shown = text if len(text) <= _SHOWN_TEXT else text[: _SHOWN_TEXT - 1] + "…"
            table.add_row(
                *(escape(printable(cell)) for cell in (row.comment_id, row.community)), when, label, escape(shown)
            )
        console.print(table)
    kept = report.used - report.removed - report.unlabelled
    console.print(
        f"{report.rows:,} rows, {report.used:,} used: {report.removed:,} removed, {kept:,} kept, "
        f"{report.unlabelled:,} without label",
        highlight=False,
    )
    if report.first_texts:
        languages = language_text(guess_languages(report.first_texts))
        console.print(f"language, guessed from the first {len(report.first_texts)} texts: {languages}", highlight=False)
    if report.left_out:
        share = f"{report.left_out_share:.1%}"
        console.print(f"{report.left_out.total():,} left out ({share}): {report.reasons()}", highlight=False)
        for left_out in report.first_left_out:
            text = f"  {left_out.file}, line {left_out.line}: {left_out.reason}: {left_out.cause}"
            console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
    for repair, count in report.repaired.items():
        console.print(f"{count:,} rows: {repair}", highlight=False)
    if report.times_made_up:
        console.print(f"{report.times_made_up:,} times made up: one minute apart, from 2018-01-01", highlight=False)
