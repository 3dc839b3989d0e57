"""``moderation lake status | verify | claim``: show what the lake contains, verify it, and state whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, print_line, progress
from moderation.timestamps import now_us
from stream.exit_codes import DEFECT, REPORTED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moderation.adapters.lake.archive_delay import ArchiveDelay
    from moderation.adapters.lake.ownership import Ownership
    from moderation.adapters.lake.verification import Check, Inspection

lake = typer.Typer(help="Show what the lake contains, verify it, and state whose it is.", no_args_is_help=True)


@lake.command("status")
def status(data_folder: FolderOption = DEFAULT_FOLDER, as_json: JsonOption = False) -> None:
    """Show the manifest's rows for each partition, and files without a row. The command reads no file of the lake.

    Example: `moderation lake status --json`

    --json prints {"lake_url", "sources": [{"topic", "topic_id", "partition", "first_offset", "next_offset", "files",
    "rows", "bytes"}], "files", "rows", "bytes", "orphans": [{"path", "bytes", "temporary"}], "missing": [{"topic",
    "topic_id", "partition", "first_offset", "next_offset", "explained"}]}. Offset ranges are half-open. Missing
    offsets are between two files and are not holes; "explained" is true if an operator accepted the loss. An orphan is
    a file that no reader sees: of a killed or running archiver, which the next run removes, or of somebody else.

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


@lake.command("claim")
def claim(
    yes: Annotated[bool, typer.Option("--yes", help="Become the owner. Without it, both are only shown.")] = False,
    reason: Annotated[str, typer.Option(help="Why; stored with the claim in batch.lake_claims.")] = "none given",
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Show which database owns the lake; with --yes make this database the owner. No file of the lake is changed.

    A lake belongs to one database: commands that write into it refuse another one. Claim a lake after a restore into
    another database or server, or a copy of the lake for a copy of the database. Never claim the lake of a system that
    still runs: that system is then refused. The exit code is 1 if the lake is not of this database.

    Example: `moderation lake claim --yes --reason "restored from the backup of 1 November"`

    --json prints {"lake_url", "owner": {"identity", "database"} or null, "this_database": {"identity", "database"},
    "files", "missing", "unlisted", "claimed"}: the number of files in the manifest, of those that the lake does not
    have, and of files in the lake that are not in the manifest.
    """
    if "\0" in reason:
        raise typer.BadParameter("the reason contains a NUL character", param_hint="--reason")
    from moderation.adapters.lake.ownership import claim as claim_lake
    from moderation.adapters.lake.ownership import inspect_ownership
    from moderation.adapters.lake.reader import opened_lake

    with opened_lake(connected_settings(data_folder)) as opened:
        ownership = inspect_ownership(opened.store, opened.connection)
        claimed = yes and not ownership.is_mine
        if claimed:
            claim_lake(opened.store, opened.connection, ownership, reason)
    if as_json:
        print_json(_ownership_fields(ownership, claimed=claimed))
    else:
        _print_ownership(ownership, claimed=claimed)
    if not ownership.is_mine and not claimed:
        raise typer.Exit(REPORTED)


def _ownership_fields(ownership: Ownership, *, claimed: bool) -> dict[str, Any]:
    owner, mine = ownership.owner, ownership.mine
    return {
        "lake_url": ownership.lake_url,
        "owner": None if owner is None else {"identity": str(owner.identity), "database": owner.database},
        "this_database": {"identity": str(mine.identity), "database": mine.database},
        "files": ownership.listed,
        "missing": len(ownership.missing),
        "unlisted": len(ownership.unlisted),
        "claimed": claimed,
    }


def _print_ownership(ownership: Ownership, *, claimed: bool) -> None:
    print_line(f"lake {ownership.lake_url} belongs to {ownership.owner or 'no database'}")
    print_line(f"this is {ownership.mine}; its manifest has {ownership.listed:,} files")
    for paths, meaning in (
        (ownership.missing, "files of the manifest are not in this lake"),
        (
            ownership.unlisted,
            "files of this lake are not in the manifest; no reader sees them, and nothing removes them",
        ),
    ):
        if paths:
            print_line(f"{len(paths):,} {meaning}, the first {paths[0]}")
    if ownership.is_mine:
        print_line("the lake is of this database")
    elif claimed:
        print_line("claimed; from now on every other database is refused")
    else:
        print_line("nothing was changed; `moderation lake claim --yes` makes this database the owner")


def _delays(data_folder: Path) -> list[ArchiveDelay] | None:
    from aiokafka.errors import KafkaError
    from confluent_kafka import KafkaException

    from moderation.adapters.kafka.connection import kafka_of
    from moderation.adapters.lake.archive_delay import archive_delays
    from moderation.adapters.lake.schema import ARCHIVED
    from moderation.adapters.sql.connection import connected
    from moderation.settings import required

    settings = connected_settings(data_folder)
    topics = [settings.topic_prefix + name for name in ARCHIVED]
    try:
        with connected(required(settings.database_url, "database_url")) as connection:
            return archive_delays(kafka_of(settings), connection, topics)
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
