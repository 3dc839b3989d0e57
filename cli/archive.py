"""``moderation archive``: archive new records of the topics into the lake, without Airflow."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, progress


class Topic(StrEnum):
    """Topics that the lake contains, without prefix."""

    COMMENTS = "comments"
    ACTIONS = "actions"


def archive(
    topic: Annotated[
        list[Topic] | None,
        typer.Option(help="Topic without its prefix; may be repeated. Default: both."),
    ] = None,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Archive new records of topics comments and actions. Safe to repeat, to interrupt, and to run twice at once.

    A partition that another archiver works on is left to it. The exit code is 1 if the topic deleted records of a
    partition before they were archived. The other partitions are archived first; `moderation accept-gap --lake` lists
    the lost offsets.

    Example: `moderation archive --topic comments`

    --json prints {"topics": [{"topic", "topic_id", "partitions": [{"partition", "outcome", "first_offset",
    "next_offset", "files", "rows", "bytes", "note", "unparsed", "dead_letters", "seconds_left"}]}], "files",
    "rows", "bytes", "seconds", "skipped": null, or why nothing was archived: another archiver holds the
    partitions}. Figures are of this run. dead_letters counts actions that cannot be read. unparsed is {"count",
    "records": [{"topic_id", "partition", "offset", "error"}]}. The lake contains a partition up to next_offset.
    outcome is archived, nothing_new, left_to_other or overtaken. seconds_left is how long the topic would have kept
    the oldest record of the run at least.
    """
    from batch.archive.tasks import archive_and_log
    from moderation.adapters.lake.schema import ARCHIVED

    settings = connected_settings(data_folder)
    with progress.status("reading the topics") as status:
        report = archive_and_log(settings, topic or ARCHIVED, None, status.update)
    if as_json:
        print_json(report.fields())
        return
    table = Table("topic", "partition", "outcome", "records", "files", "bytes", "archived up to")
    for each in report.topics:
        for part in each.partitions:
            outcome = part.outcome.value.replace("_", " ") + (f": {part.note}" if part.note else "")
            figures = (f"{figure:,}" for figure in (part.rows, part.files, part.bytes, part.next_offset))
            table.add_row(each.topic, str(part.partition), outcome, *figures)
    console.print(table)
    if report.skipped is not None:
        console.print(f"nothing was archived: {report.skipped}", markup=False)
    if letters := report.total("dead_letters"):
        console.print(f"{letters:,} actions cannot be read: `moderation dead-letters list --topic actions` names them")
    console.print(f"{report.total('rows'):,} records in {report.seconds:.1f} s; the lake is {settings.lake_url}")
