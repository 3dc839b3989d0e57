"""``moderation archive``: what topics have and the lake does not, into the lake; without Airflow."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from cli.options import connected_settings
from cli.output import console, print_json, progress
from cli.stack import DEFAULT_FOLDER, FolderOption


def archive(
    topic: Annotated[
        list[str] | None, typer.Option(help="comments or actions, without a prefix; may be repeated. Both if absent.")
    ] = None,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Archive what is new on topics comments and actions. Safe to repeat, to interrupt, and to run twice at once.

    A partition that another archiver works on is left to it. Exit code 1 when retention overtook a partition; the
    others are archived first, and `moderation accept-gap --lake` shows what is gone.

    --json prints {"topics": [{"topic", "topic_id", "partitions": [{"partition", "outcome", "first_offset",
    "next_offset", "files", "rows", "bytes", "note", "unparsed", "dead_letters", "seconds_left"}]}], "files", "rows",
    "bytes", "seconds"}. Figures are of this run; dead_letters are actions that cannot be read; unparsed is {"count",
    "records": [{"topic_id", "partition", "offset", "error"}]}; the lake contains a partition up to next_offset; outcome
    is archived, nothing_new, left_to_other or overtaken; seconds_left is how long the oldest record of the run would
    still have been kept by the topic, at least.
    """
    from batch.archive.run import archive_topics
    from moderation.adapters.lake.schema import ARCHIVED

    settings = connected_settings(data_folder)
    with progress.status("looking at the topics") as status:

        def say(line: str) -> None:
            status.update(line)

        report = archive_topics(settings, topics=topic or ARCHIVED, on_progress=say)
    if as_json:
        print_json(report.fields())
        return
    table = Table("topic", "partition", "outcome", "records", "files", "bytes", "held up to")
    for each in report.topics:
        for part in each.partitions:
            outcome = part.outcome.value.replace("_", " ") + (f": {part.note}" if part.note else "")
            figures = (f"{figure:,}" for figure in (part.rows, part.files, part.bytes, part.next_offset))
            table.add_row(each.topic, str(part.partition), outcome, *figures)
    console.print(table)
    if letters := report.total("dead_letters"):
        console.print(f"{letters:,} actions cannot be read: `moderation dead-letters list --topic actions` names them")
    console.print(f"{report.total('rows'):,} records in {report.seconds:.1f} s; the lake is {settings.lake_url}")
