"""``moderation reset-watermark``: restart the running maximum of event times of a partition."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json
from moderation.contracts.records import MAX_FUTURE_US
from moderation.contracts.replays import MAX_PARTITION
from moderation.timestamps import now_us

if TYPE_CHECKING:
    from datetime import date

    from moderation.adapters.kafka.topic_reader import TopicReader


def reset_watermark(
    partition: Annotated[int, typer.Argument(min=0, max=MAX_PARTITION, help="Partition whose watermark is reset.")],
    to: Annotated[
        str | None,
        typer.Option(
            help="Event time at which the running maximum restarts: ISO 8601, UTC unless it names a zone. The "
            "watermark is ten minutes less. Default: the event time of the next comment."
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why it is reset; stored with the reset.")] = "none given",
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Reset the watermark of a partition from its next undecided offset on.

    Use it if comments with wrong event times moved the watermark ahead, so that correct comments are late. Decided
    comments keep their fate; the new watermark applies to the comments after them. The reset is recorded with its
    offset in speed.watermark_resets, and reconciliation applies it at the same offset.

    Workers may run. The worker that owns the partition stores nothing more of it: it ends with exit code 75, and its
    next start reads the new watermark.

    Example: `moderation reset-watermark 2 --to 2026-11-01T12:00:00Z --reason "wrong clock of one producer"`

    --json prints {"partition", "offset", "newest_event_us", "previous_event_us"}.
    """
    if "\0" in reason:
        raise typer.BadParameter("the reason contains a NUL character", param_hint="--reason")
    current_us = now_us()
    given_us = None if to is None else _time_us(to)
    if given_us is not None and not 0 <= given_us <= current_us + MAX_FUTURE_US:
        raise typer.BadParameter("the time is not between 1970 and now", param_hint="--to")
    from moderation.adapters.kafka.connection import kafka_of
    from moderation.adapters.kafka.topic_reader import open_topic
    from moderation.adapters.kafka.topics import COMMENTS
    from moderation.adapters.sql.connection import connected
    from moderation.adapters.sql.watermark_reset import reset_watermark as record_reset
    from moderation.offsets import TopicPartition
    from moderation.settings import required

    settings = connected_settings(data_folder)
    topic = settings.topic_prefix + COMMENTS.name
    with (
        connected(required(settings.database_url, "database_url")) as connection,
        open_topic(kafka_of(settings), topic) as log,
    ):
        reset = record_reset(
            connection,
            TopicPartition(topic, log.topic_id, partition),
            lambda offset: (
                _next_time_us(log, partition, offset, settings.earliest_event_date) if given_us is None else given_us
            ),
            reason=reason,
            now_us=current_us,
        )
    if as_json:
        print_json({"partition": partition, **reset.fields()})
        return
    console.print(
        f"partition {partition}: from offset {reset.offset} on, the running maximum of event times restarts at "
        f"{_shown(reset.newest_event_us)}; it was {_shown(reset.previous_event_us)}. A worker that owns the "
        "partition restarts once (exit code 75).",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _time_us(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--to") from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def _shown(time_us: int | None) -> str:
    return "not set" if time_us is None else datetime.fromtimestamp(time_us / 1e6, UTC).isoformat()


def _next_time_us(log: TopicReader, partition: int, offset: int, earliest: date) -> int:
    """Return the event time of the record at an offset.

    Raises:
        TopicRefused: there is no record, or it is not a comment.
    """
    from moderation.contracts import Rules, read_record
    from moderation.errors import InvalidRecord, TopicRefused

    cause = "there is no record yet"
    if (record := log.value_and_time_at(partition, offset)) is not None:
        try:
            return read_record(*record, Rules.since(earliest)).comment.event_time_us
        except InvalidRecord as error:
            cause = f"the record is not a comment ({error})"
    raise TopicRefused(
        f"topic {log.topic} partition {partition} offset {offset}",
        f"{cause}, so there is no event time to restart at; nothing was changed",
        "Name a time: `moderation reset-watermark PARTITION --to 2026-11-01T12:00:00Z`.",
    )
