"""``moderation republish``: send decisions, alerts or closed panes of the ledger to a topic again."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.options import DAY_FORMATS, DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, progress
from moderation.contracts.replays import MAX_PARTITION, RecordPosition, parse_replay_of

if TYPE_CHECKING:
    from moderation.adapters.kafka.republisher import PublishedTopic, Republished

_KEEP = "Continue with the same command and --after {}; a record sent twice changes nothing for a consumer."


def republish(
    topic: Annotated[Literal["decisions", "alerts", "panes"], typer.Option(help="Kind of records to send.")],
    from_day: Annotated[
        datetime | None,
        typer.Option("--from", formats=DAY_FORMATS, help="First UTC day: of append; for panes of event time."),
    ] = None,
    to_day: Annotated[
        datetime | None, typer.Option("--to", formats=DAY_FORMATS, help="Last UTC day, inclusive.")
    ] = None,
    partition: Annotated[
        int | None, typer.Option(min=0, max=MAX_PARTITION, help="Only this partition of the source topic.")
    ] = None,
    offsets: Annotated[
        str | None, typer.Option(help="With --partition: offsets FIRST:NEXT of the source topic, half-open.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(help="Continue after this position, as an earlier run reported it.")
    ] = None,
    to_topic: Annotated[
        str | None, typer.Option(help="Full name of another existing topic, e.g. for a new consumer.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be sent.")] = False,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Send ledger rows to a published topic again, with the keys and values that the worker publishes.

    Use it after a published topic was deleted or lost records, or to fill a topic for a new consumer. The command
    appends records; it overwrites and deletes nothing. Each record has the header `republished`. Rows are sent in the
    order of the source topic's id, partition and offset. A consumer that keeps one decision per comment must compare
    offsets, because the worker may publish a newer decision on the same comment meanwhile.

    Example: `moderation republish --topic decisions --from 2026-11-01 --dry-run`

    Example: `moderation republish --topic panes --to-topic panes-copy`

    --json prints {"topic", "to_topic", "sent", "last", "dry_run"}. "last" is for --after.
    """
    from moderation.errors import BrokerUnavailable, ConfigurationError

    chosen_offsets = _offsets(offsets, partition, topic)
    position = None if after is None else _position(after)
    first, last = _day(from_day), _day(to_day)
    if first is not None and last is not None and first > last:
        raise typer.BadParameter("it is before --from", param_hint="--to")

    from moderation.adapters.kafka.access import require_accepted
    from moderation.adapters.kafka.acknowledged_sender import acknowledged_sender
    from moderation.adapters.kafka.connection import kafka_of
    from moderation.adapters.kafka.republisher import republish as republish_rows
    from moderation.adapters.kafka.topics import ACTIONS, COMMENTS, RETRAIN_REQUESTS, missing_topics
    from moderation.adapters.sql.connection import connected
    from moderation.adapters.sql.published_rows import RowSelection
    from moderation.settings import required

    settings = connected_settings(data_folder)
    prefix = settings.topic_prefix
    target = to_topic or prefix + topic
    if target in {prefix + each.name for each in (COMMENTS, ACTIONS, RETRAIN_REQUESTS)}:
        raise typer.BadParameter(
            "this project reads the topic, so its records would be processed again", param_hint="--to-topic"
        )
    if not dry_run:
        require_accepted(kafka_of(settings))
        if missing_topics(kafka_of(settings), [target]):
            remedy = "Create it first." if to_topic else "`moderation topics` creates it."
            raise ConfigurationError(f"topic {target}", "it does not exist", remedy)
    chosen = RowSelection(partition, chosen_offsets, first, last)
    published: PublishedTopic = topic
    reached: list[Republished] = []

    with (
        connected(required(settings.database_url, "database_url"), name="moderation republish") as connection,
        progress.status("reading the ledger") as status,
    ):

        def note(report: Republished) -> None:
            reached[:] = [report]
            status.update(f"{report.sent:,} {topic}, up to {_shown(report.last)}")

        source_topic = prefix + COMMENTS.name
        if dry_run:
            done = republish_rows(connection, source_topic, published, chosen, None, note, position)
        else:
            try:
                with acknowledged_sender(kafka_of(settings), target, topic, "Fix Kafka first.") as sender:
                    done = republish_rows(connection, source_topic, published, chosen, sender, note, position)
            except (BrokerUnavailable, ConfigurationError) as error:
                kept = reached[0].last if reached else position
                remedy = "Fix Kafka and repeat the command." if kept is None else _KEEP.format(_shown(kept))
                raise type(error)(error.thing, error.cause, remedy) from error
    if as_json:
        last_sent = None if done.last is None else _shown(done.last)
        print_json({"topic": topic, "to_topic": target, "sent": done.sent, "last": last_sent, "dry_run": dry_run})
        return
    verb = "would be sent" if dry_run else "sent and acknowledged"
    console.print(f"topic {target}: {done.sent:,} {topic} {verb}", soft_wrap=True, highlight=False)


def _offsets(text: str | None, partition: int | None, topic: str) -> tuple[int, int] | None:
    if text is None:
        return None
    if partition is None:
        raise typer.BadParameter("it needs --partition", param_hint="--offsets")
    if topic == "panes":
        raise typer.BadParameter("panes have no offsets; choose with --from and --to", param_hint="--offsets")
    first, separator, next_offset = text.partition(":")
    bounds = [int(part) for part in (first, next_offset) if part.isascii() and part.isdecimal() and len(part) < 19]
    if not separator or len(bounds) != 2 or bounds[0] >= bounds[1]:
        raise typer.BadParameter("expected FIRST:NEXT with FIRST < NEXT, e.g. 0:1000", param_hint="--offsets")
    return bounds[0], bounds[1]


def _position(text: str) -> RecordPosition:
    position = parse_replay_of(text.encode())
    if position is None:
        raise typer.BadParameter("expected TOPIC_ID/PARTITION/POSITION, as --json reports it", param_hint="--after")
    return position


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


def _shown(position: RecordPosition | None) -> str:
    return "the beginning" if position is None else position.header().decode("ascii")
