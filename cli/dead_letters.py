"""``moderation dead-letters list | show | summary | replay``: unreadable records and their replays."""

from __future__ import annotations

import base64
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import typer
from rich.table import Table
from rich.text import Text

from cli.action_letters import list_action_letters
from cli.dead_letter_summary import summary
from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, printable, progress, utc
from moderation.contracts import DeadLetterReason
from moderation.contracts.replays import MAX_OFFSET, MAX_PARTITION
from stream.exit_codes import REPORTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moderation.adapters.sql.connection import Connection
    from moderation.dead_letters import ReplaySummary, StoredLetter
    from moderation.settings import Settings

dead_letters = typer.Typer(
    help="List, show, count and replay records that could not be read as comments.", no_args_is_help=True
)
ReasonOption = Annotated[
    DeadLetterReason | None, typer.Option(help="Only dead letters with this reason, e.g. future_dated.")
]
TopicIdOption = Annotated[
    UUID | None, typer.Option(help="Needed if a re-created topic has a dead letter at the same partition and offset.")
]

dead_letters.command("summary")(summary)


@dead_letters.command("list")
def list_letters(
    topic: Annotated[Literal["comments", "actions"], typer.Option(help="Topic without its prefix.")] = "comments",
    reason: ReasonOption = None,
    partition: Annotated[
        int | None, typer.Option(min=0, max=MAX_PARTITION, help="Only dead letters of this partition.")
    ] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Leave out dead letters whose replay was decided.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many to show, the newest.")] = 50,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, newest first, and count them by reason.

    Dead letters of topic actions have a reason and a field but no bytes; the lake has the bytes. They cannot be
    replayed: send a correct action instead.

    Example: `moderation dead-letters list --reason future_dated --open`
    """
    if topic == "actions":
        if only_open:
            raise typer.BadParameter("dead letters of actions cannot be replayed", param_hint="--open")
        list_action_letters(connected_settings(data_folder), reason, partition, limit, as_json=as_json)
        return
    from moderation.adapters.sql.connection import connected
    from moderation.adapters.sql.dead_letters import Selection, count_by_reason, newest

    settings = connected_settings(data_folder)
    selection = Selection(_topic(settings), reason=reason, partition=partition, only_open=only_open)
    with connected(_database(settings)) as connection:
        letters = newest(connection, selection, limit)
        by_reason = count_by_reason(connection, selection)
    total = sum(by_reason.values())
    if as_json:
        print_json({"dead_letters": [_fields(each) for each in letters], "total": total, "by_reason": by_reason})
        return
    if not letters:
        console.print("no dead letters")
        return
    table = Table("partition", "offset")
    table.add_column("reason", no_wrap=True)
    table.add_column("detail", overflow="fold")
    table.add_column("bytes", no_wrap=True)
    table.add_column("appended (UTC)", min_width=len("2026-11-01"))
    table.add_column("replayed as")
    for each in letters:
        kept = each.letter
        table.add_row(
            str(each.partition),
            str(each.offset),
            kept.reason,
            Text(printable(kept.detail)),
            f"{kept.raw_length:,}",
            utc(kept.append_us),
            _position_text(each.replayed_as),
        )
    console.print(table)
    console.print(f"{total:,} in all: {_counts(by_reason)}")


@dead_letters.command("show")
def show(
    partition: Annotated[int, typer.Argument(min=0, max=MAX_PARTITION)],
    offset: Annotated[int, typer.Argument(min=0, max=MAX_OFFSET)],
    topic_id: TopicIdOption = None,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Show everything that is stored of one dead letter. Bytes that are not printable are shown as escapes.

    Example: `moderation dead-letters show 0 1234`
    """
    from moderation.adapters.sql.connection import connected
    from moderation.adapters.sql.dead_letters import one

    settings = connected_settings(data_folder)
    with connected(_database(settings)) as connection:
        stored = one(connection, _topic(settings), partition, offset, topic_id)
    kept = stored.letter
    if as_json:
        print_json({**_fields(stored), "raw_base64": base64.b64encode(kept.raw).decode()})
        return
    lines = {
        "topic": f"{_topic(settings)} ({stored.topic_id})",
        "partition": str(partition),
        "offset": str(offset),
        "appended": f"{utc(kept.append_us)} UTC",
        "reason": kept.reason,
        "detail": printable(kept.detail),
        "SHA-256": kept.raw_sha256,
        "bytes": f"{kept.raw_length:,}" + (f", the first {len(kept.raw):,} kept" * (len(kept.raw) < kept.raw_length)),
        "replayed as": _position_text(stored.replayed_as),
    }
    for name, value in lines.items():
        console.print(f"{name:<12}{value}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        printable(kept.raw.decode("utf-8", "backslashreplace")), markup=False, highlight=False, soft_wrap=True
    )


@dead_letters.command("replay")
def replay(
    reason: ReasonOption = None,
    partition: Annotated[int | None, typer.Option(min=0, max=MAX_PARTITION, help="With --offset: one record.")] = None,
    offset: Annotated[int | None, typer.Option(min=0, max=MAX_OFFSET, help="With --partition: one record.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Replay every dead letter of the topic.")] = False,
    value: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Send the corrected bytes of this file instead; for one record."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Replay even if an earlier replay was decided; for one record.")
    ] = False,
    topic_id: TopicIdOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be sent.")] = False,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters to topic comments again and wait for the acknowledgements.

    Choose with --reason, with --partition and --offset, or with --all. Records that still cannot be read are not sent.
    A dead letter counts as replayed once the worker has decided its replay; the bytes of the replay must be those of
    the dead letter or those that --value sent last. Replayed dead letters are skipped. A second copy of a replay
    becomes `duplicate` while its pane is open and `late` afterwards; it is never counted twice.

    The exit code is 1 if nothing could be sent, or if the bytes of a record are gone. With --dry-run, "replayed" is
    the number that would be sent.

    Example: `moderation dead-letters replay --reason schema_version --dry-run`

    Example: `moderation dead-letters replay --partition 0 --offset 1234 --value corrected.json`
    """
    named = partition is not None and offset is not None
    if (partition is None) != (offset is None):
        raise typer.BadParameter("--partition and --offset must be given together: they name one record")
    if (reason is not None) + named + everything != 1:
        raise typer.BadParameter("choose with one of --reason, --partition and --offset, or --all")
    if (value is not None or again or topic_id is not None) and not named:
        raise typer.BadParameter("--value, --again and --topic-id need one record: --partition and --offset")
    corrected = None if value is None else value.read_bytes()
    position = (partition, offset) if partition is not None and offset is not None else None
    settings = connected_settings(data_folder)
    with progress.status("sending"):
        outcome = _replay(settings, reason, position, topic_id, corrected=corrected, again=again, dry_run=dry_run)
    if as_json:
        gone = [{"partition": each.partition, "offset": each.offset} for each in outcome.gone]
        counts = {"replayed": outcome.replayed, "already": outcome.already}
        print_json({**counts, "still_refused": dict(outcome.still_refused), "gone": gone})
    else:
        _print_outcome(outcome, dry_run=dry_run)
    if outcome.gone or (outcome.still_refused and not outcome.replayed):
        raise typer.Exit(REPORTED)


def _replay(
    settings: Settings,
    reason: str | None,
    position: tuple[int, int] | None,
    topic_id: UUID | None,
    *,
    corrected: bytes | None,
    again: bool,
    dry_run: bool,
) -> ReplaySummary:
    from moderation.adapters.kafka.connection import kafka_of
    from moderation.adapters.kafka.replay_producer import replay_sender, whole_bytes
    from moderation.adapters.kafka.topic_reader import open_topic
    from moderation.adapters.lake.reader import opened_lake
    from moderation.adapters.sql.connection import connected
    from moderation.adapters.sql.dead_letters import Selection, oldest_first, one
    from moderation.dead_letters import replay_letters

    topic = _topic(settings)

    def now_us() -> int:
        return time.time_ns() // 1_000

    with (
        connected(_database(settings)) as connection,
        open_topic(kafka_of(settings), topic) as log,
        opened_lake(settings) as lake,
        ExitStack() as held,
    ):

        def original(letter: StoredLetter) -> bytes | None:
            return whole_bytes(letter, log, lake) if corrected is None else corrected

        letters: Iterable[StoredLetter]
        if position is None:
            letters = held.enter_context(closing(oldest_first(connection, Selection(topic, reason=reason))))
        else:
            letters = [one(connection, topic, *position, topic_id)]
        if dry_run:
            return replay_letters(letters, original, lambda *_: None, now_us, again=again)
        if corrected is not None:
            _store_correction(connection, letters, corrected, now_us())
        with replay_sender(kafka_of(settings), topic) as send:
            return replay_letters(letters, original, send, now_us, again=again)


def _store_correction(connection: Connection, letters: Iterable[StoredLetter], value: bytes, now_us: int) -> None:
    """Store the corrected bytes before they are sent, so that the worker accepts them as the replay of the record."""
    from moderation.adapters.sql.replays import store_correction
    from moderation.contracts import Content, parse_record
    from moderation.errors import InvalidRecord

    try:
        parse_record(value, now_us)
    except InvalidRecord:
        return  # it is not sent either
    with connection.transaction(), connection.cursor() as cursor:
        for letter in letters:
            store_correction(cursor, letter.position, Content.of(value))


def _print_outcome(outcome: ReplaySummary, *, dry_run: bool) -> None:
    console.print(f"{outcome.replayed:,} {'would be ' if dry_run else ''}sent again")
    if outcome.already:
        console.print(f"{outcome.already:,} skipped: their replays were decided")
    if outcome.still_refused:
        console.print(
            f"{outcome.still_refused.total():,} still cannot be read as comments: {_counts(outcome.still_refused)}"
        )
    for each in outcome.gone:
        progress.print(
            f"partition {each.partition} offset {each.offset}: {each.letter.raw_length:,} bytes, of which the ledger "
            f"has {len(each.letter.raw):,}; neither topic nor lake has the record. Send it with --value",
            markup=False,
            highlight=False,
        )


def _topic(settings: Settings) -> str:
    from moderation.adapters.kafka.topics import COMMENTS

    return settings.topic_prefix + COMMENTS.name


def _database(settings: Settings) -> str:
    from moderation.settings import required

    return required(settings.database_url, "database_url")


def _fields(stored: StoredLetter) -> dict[str, Any]:
    as_partition, as_offset = stored.replayed_as or (None, None)
    return {
        "topic_id": str(stored.topic_id),
        "partition": stored.partition,
        "offset": stored.offset,
        "reason": stored.letter.reason,
        "detail": stored.letter.detail,
        "raw_length": stored.letter.raw_length,
        "raw_sha256": stored.letter.raw_sha256,
        "append_us": stored.letter.append_us,
        "replayed_as_partition": as_partition,
        "replayed_as_offset": as_offset,
    }


def _counts(by_reason: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in by_reason.items())


def _position_text(position: tuple[int, int] | None) -> str:
    return "–" if position is None else f"partition {position[0]} offset {position[1]}"
