"""``moderation lake status | verify``: show what the lake contains, and verify it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, print_line, progress
from moderation.timestamps import now_us
from stream.exit_codes import DEFECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moderation.adapters.lake.archive_delay import ArchiveDelay
    from moderation.adapters.lake.verification import Check, Inspection

lake = typer.Typer(help="Show what the lake contains, and verify it.", no_args_is_help=True)


@lake.command("status")
def status(data_folder: FolderOption = DEFAULT_FOLDER, as_json: JsonOption = False) -> None:
    """Show the manifest's rows for each partition, and files without a row. The command reads no file of the lake.

    Example: `moderation lake status --json`

    --json prints {"lake_url", "sources": [{"topic", "topic_id", "partition", "first_offset", "next_offset", "files",
    "rows", "bytes"}], "files", "rows", "bytes", "orphans": [{"path", "bytes", "temporary"}], "missing": [{"topic",
    "topic_id", "partition", "first_offset", "next_offset", "explained"}]}. Offset ranges are half-open. Missing
    offsets are between two files and are not holes; "explained" is true if an operator accepted the loss. An orphan is
    a file of a killed or running archiver; no reader sees it, and the next run removes it.

    It also prints "retention": [{"topic", "partition", "next_offset", "waiting", "append_us", "retention_ms",
    "seconds_left"}], or null if Kafka does not answer: how many offsets of each partition wait for the archive, and
    how long until the topic may delete the oldest of them. "seconds_left" is null if no offset waits or the topic
    keeps records without limit.
    """
    inspection = _inspect(data_folder, None, lambda _: None)
    delays = _delays(data_folder)
    current_us = now_us()
    if as_json:
        print_json(
            {
                **_fields(inspection),
                "retention": None if delays is None else [_retention(d, current_us) for d in delays],
            }
        )
        return
    _print(inspection)
    for delay in delays or ():
        left = delay.seconds_left(current_us)
        if left is not None:
            when = f"in {left / 3_600:,.1f} h" if left > 0 else "at any time"
            print_line(
                f"{delay.topic_partition}: {delay.waiting:,} offsets from {delay.next_offset} on are not archived; the "
                f"topic may delete the oldest {when}"
            )


@lake.command("verify")
def verify(
    quick: Annotated[bool, typer.Option("--quick", help="Compare sizes and row counts only.")] = False,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Compare every file with the manifest, byte by byte, and check that no offset is missing.

    The exit code is 3 if a file is missing or altered, or if offsets are in no file and no operator accepted the loss.
    Orphans are listed; they are not defects.

    Example: `moderation lake verify --quick`

    --json prints what `lake status --json` prints except "retention", and {"check": "digest" or "size", "defects":
    [{"path", "cause"}]}.
    """
    with progress.status("reading the manifest") as status:
        check: Check = "size" if quick else "digest"
        inspection = _inspect(data_folder, check, status.update)
    if as_json:
        defects = [{"path": each.path, "cause": each.cause} for each in inspection.defects]
        print_json({**_fields(inspection), "check": check, "defects": defects})
    else:
        _print(inspection)
        for defect in inspection.defects:
            console.print(f"{defect.path}: {defect.cause}", markup=False, highlight=False, soft_wrap=True)
        if inspection.is_whole:
            console.print(f"the lake is whole: {len(inspection.manifest):,} files checked")
    if not inspection.is_whole:
        raise typer.Exit(DEFECT)


def _delays(data_folder: Path) -> list[ArchiveDelay] | None:
    from aiokafka.errors import KafkaError
    from confluent_kafka import KafkaException

    from moderation.adapters.lake.archive_delay import archive_delays
    from moderation.adapters.lake.schema import ARCHIVED
    from moderation.adapters.sql.connection import connected
    from moderation.settings import required

    settings = connected_settings(data_folder)
    topics = [settings.topic_prefix + name for name in ARCHIVED]
    try:
        with connected(required(settings.database_url, "database_url")) as connection:
            return archive_delays(settings.kafka_bootstrap, connection, topics)
    except (KafkaException, KafkaError) as error:
        progress.print(
            f"Kafka does not answer, so the time until deletion is unknown: {error}", markup=False, highlight=False
        )
        return None


def _retention(delay: ArchiveDelay, current_us: int) -> dict[str, Any]:
    left = delay.seconds_left(current_us)
    return {
        "topic": delay.topic_partition.topic,
        "partition": delay.topic_partition.partition,
        "next_offset": delay.next_offset,
        "waiting": delay.waiting,
        "append_us": delay.append_us,
        "retention_ms": delay.retention_ms,
        "seconds_left": None if left is None else round(left, 1),
    }


def _inspect(data_folder: Path, check: Check | None, say: Callable[[str], None]) -> Inspection:
    from moderation.adapters.lake.reader import opened_lake
    from moderation.adapters.lake.schema import ARCHIVED
    from moderation.adapters.lake.verification import inspect

    settings = connected_settings(data_folder)
    topics = [settings.topic_prefix + name for name in ARCHIVED]
    with opened_lake(settings) as opened:
        return inspect(opened.store, opened.connection, topics, check, say)


def _fields(inspection: Inspection) -> dict[str, Any]:
    return {
        "lake_url": inspection.lake_url,
        "sources": [
            {
                "topic": each.topic_partition.topic,
                "topic_id": str(each.topic_partition.topic_id),
                "partition": each.topic_partition.partition,
                "first_offset": each.first_offset,
                "next_offset": each.next_offset,
                "files": each.files,
                "rows": each.rows,
                "bytes": each.bytes,
            }
            for each in inspection.partitions
        ],
        "files": len(inspection.manifest),
        "rows": sum(file.rows for file in inspection.manifest),
        "bytes": sum(file.bytes for file in inspection.manifest),
        "orphans": [
            {"path": each.path, "bytes": each.bytes, "temporary": each.is_temporary} for each in inspection.orphans
        ],
        "missing": [
            {
                "topic": each.topic_partition.topic,
                "topic_id": str(each.topic_partition.topic_id),
                "partition": each.topic_partition.partition,
                "first_offset": each.first_offset,
                "next_offset": each.next_offset,
                "explained": each.is_explained,
            }
            for each in inspection.missing
        ],
    }


def _print(inspection: Inspection) -> None:
    if not inspection.manifest:
        console.print(f"nothing is archived in {inspection.lake_url}; `moderation archive` starts")
    else:
        table = Table("topic", "partition", "offsets", "records", "files", "bytes", title=f"lake {inspection.lake_url}")
        for each in inspection.partitions:
            offsets = f"[{each.first_offset:,}, {each.next_offset:,})"
            figures = (f"{figure:,}" for figure in (each.rows, each.files, each.bytes))
            table.add_row(
                each.topic_partition.topic, str(each.topic_partition.partition), offsets.replace("[", "\\["), *figures
            )
        console.print(table)
    for missing in inspection.missing:
        why = "accepted as lost" if missing.is_explained else "in no file, and the loss is not accepted"
        print_line(f"{missing.topic_partition}: offsets [{missing.first_offset}, {missing.next_offset}) are {why}")
    for orphan in inspection.orphans:
        kind = "temporary" if orphan.is_temporary else "without a row in the manifest"
        print_line(f"{orphan.path}: {kind}, {orphan.bytes:,} bytes; no reader sees it")
