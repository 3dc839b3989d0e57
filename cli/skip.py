"""``moderation skip``: pass over the one record at which every worker ends."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import connected_settings
from cli.output import console, print_json
from cli.stack import DEFAULT_FOLDER, FolderOption
from moderation.contracts.replays import MAX_OFFSET, MAX_PARTITION


def skip(
    partition: Annotated[int, typer.Argument(min=0, max=MAX_PARTITION, help="Of the record.")],
    offset: Annotated[
        int,
        typer.Argument(min=0, max=MAX_OFFSET, help="Of the record; must be the offset that the ledger expects next."),
    ],
    reason: Annotated[str, typer.Option(help="Kept with the dead letter: why it is skipped.")] = "none given",
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Put the next record of a partition into quarantine without deciding it. Use this as the last resort.

    The record becomes a dead letter processing_failed, which reconciliation counts as quarantined. A worker quarantines
    a record that makes deciding or storing fail by itself. This command is for a record that ends the process, so that
    every worker ends at the same offset. To find the offset, run one worker with MODERATION_BATCH_MOST_RECORDS=1: it
    ends right before the record.

    Workers may run. One that is about to store the same record cannot: the position moved, so it ends with exit code 75
    and its next start reads behind the record. If the worker stored the record first, nothing is skipped.
    """
    if "\0" in reason:
        raise typer.BadParameter("it holds a NUL character", param_hint="--reason")
    from moderation.adapters.kafka.topic_reader import opened
    from moderation.adapters.kafka.topics import COMMENTS
    from moderation.adapters.sql.connection import connected
    from moderation.adapters.sql.skip import skip as skip_record
    from moderation.contracts import DeadLetterReason, dead_letter
    from moderation.errors import InvalidRecord, SourceRefused
    from moderation.settings import required

    settings = connected_settings(data_folder)
    topic = settings.topic_prefix + COMMENTS.name
    with (
        connected(required(settings.database_url, "database_url")) as connection,
        opened(settings.kafka_bootstrap, topic) as log,
    ):
        record = log.value_and_time_at(partition, offset)
        if record is None:
            raise SourceRefused(
                f"topic {topic} partition {partition}",
                f"it has no record at offset {offset}",
                "`moderation accept-gap` shows offsets that are gone.",
            )
        value, append_us = record
        why = InvalidRecord(DeadLetterReason.PROCESSING_FAILED, f"skipped by a person: {reason}")
        letter = dead_letter(value, append_us, why)
        skip_record(connection, topic, log.topic_id, partition, offset, letter)
    if as_json:
        print_json({"partition": partition, "offset": offset, "raw_sha256": letter.raw_sha256})
        return
    console.print(
        f"partition {partition} offset {offset} is in quarantine, {letter.raw_length:,} bytes. The next worker that "
        f"gets the partition starts at offset {offset + 1}; one that has it now restarts once (exit code 75).",
        soft_wrap=True,
    )
