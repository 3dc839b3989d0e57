"""``moderation skip``: quarantine the one record that ends every worker."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json
from moderation.contracts.replays import MAX_OFFSET, MAX_PARTITION


def skip(
    partition: Annotated[int, typer.Argument(min=0, max=MAX_PARTITION, help="Partition of the record.")],
    offset: Annotated[
        int,
        typer.Argument(min=0, max=MAX_OFFSET, help="Offset of the record; must be the next offset of the ledger."),
    ],
    reason: Annotated[str, typer.Option(help="Why it is skipped; stored with the dead letter.")] = "none given",
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Quarantine the next record of a partition without deciding it. Use this as the last resort.

    The record becomes a dead letter processing_failed, which reconciliation counts as quarantined. A worker itself
    quarantines a record that makes deciding or storing fail. This command is for a record that ends the process, so
    that every worker ends at the same offset. To find the offset, run one worker with
    MODERATION_BATCH_MOST_RECORDS=1: it ends right before the record.

    Workers may run. A worker that tries to store the same record fails, because the position has moved: it ends with
    exit code 75, and its next start reads after the record. If the worker stores the record first, nothing is skipped.

    Example: `moderation skip 2 81734 --reason "crashes the tokenizer"`
    """
    if "\0" in reason:
        raise typer.BadParameter("the reason contains a NUL character", param_hint="--reason")
    from moderation.adapters.kafka.connection import kafka_of
    from moderation.adapters.kafka.topic_reader import open_topic
    from moderation.adapters.kafka.topics import COMMENTS
    from moderation.adapters.sql.connection import connected
    from moderation.adapters.sql.skip import skip as skip_record
    from moderation.contracts import DeadLetterReason, dead_letter
    from moderation.errors import InvalidRecord, TopicRefused
    from moderation.settings import required

    settings = connected_settings(data_folder)
    topic = settings.topic_prefix + COMMENTS.name
    with (
        connected(required(settings.database_url, "database_url")) as connection,
        open_topic(kafka_of(settings), topic) as log,
    ):
        record = log.value_and_time_at(partition, offset)
        if record is None:
            raise TopicRefused(
                f"topic {topic} partition {partition}",
                f"it has no record at offset {offset}",
                "`moderation accept-gap` lists lost offsets.",
            )
        value, append_us = record
        why = InvalidRecord(DeadLetterReason.PROCESSING_FAILED, f"skipped by an operator: {reason}")
        letter = dead_letter(value, append_us, why)
        skip_record(connection, topic, log.topic_id, partition, offset, letter)
    if as_json:
        print_json({"partition": partition, "offset": offset, "raw_sha256": letter.raw_sha256})
        return
    console.print(
        f"partition {partition} offset {offset} is in quarantine, {letter.raw_length:,} bytes. The next worker that "
        f"gets the partition starts at offset {offset + 1}; a worker that owns it now restarts once (exit code 75).",
        soft_wrap=True,
    )
