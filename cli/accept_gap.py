"""``moderation accept-gap``: list lost offsets; with --yes acknowledge them so that the worker or archive continues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import print_json, print_line
from moderation.timestamps import now_us
from stream.exit_codes import REPORTED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from uuid import UUID

    from moderation.offsets import FormerGap, LedgerPositions, TopicChanges


def accept_gap(
    yes: Annotated[bool, typer.Option("--yes", help="Accept the loss. Without it, the loss is only shown.")] = False,
    reason: Annotated[str, typer.Option(help="Why the records are gone; stored with each gap.")] = "none given",
    lake: Annotated[
        bool, typer.Option("--lake", help="List the offsets that block the archive instead of the worker.")
    ] = False,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """List offsets that the topic lost before the worker read them, or a re-created topic; with --yes accept the loss.

    The offsets of an accepted gap are recorded and counted as lost; the worker then continues after them. The exit code
    is 0 if nothing blocks the worker or everything was accepted. It is 1 if a loss waits for acceptance, or if the
    topic ends before the ledger's next offset, which cannot be accepted.

    Records of a re-created topic's former id that were archived and never decided are listed as well: nobody can
    decide them any more. Once accepted, they count as lost, and their days become final.

    With --lake the command lists offsets that topics lost before they were archived, and decided offsets of a
    re-created topic's former id. They are missing from the lake for good; the archive continues after them.

    Example: `moderation accept-gap --yes --reason "retention was too short"`

    --json prints {"gaps": [{"partition", "first_offset", "next_offset"}], "new_topic_id", "former_gaps": [{"topic_id",
    "partition", "first_offset", "next_offset"}], "accepted"}; with --lake {"gaps": [{"topic", "partition",
    "first_offset", "next_offset"}], "accepted"}.
    """
    if "\0" in reason:
        raise typer.BadParameter("the reason contains a NUL character", param_hint="--reason")
    if lake:
        _accept_in_lake(yes=yes, reason=reason, data_folder=data_folder, as_json=as_json)
        return
    from moderation.adapters.kafka.connection import kafka_of
    from moderation.adapters.kafka.topic_reader import open_topic
    from moderation.adapters.kafka.topics import COMMENTS
    from moderation.adapters.sql.connection import connected
    from moderation.adapters.sql.gaps import accept, find_undecided, read_positions
    from moderation.offsets import find_topic_changes
    from moderation.settings import required

    settings = connected_settings(data_folder)
    topic = settings.topic_prefix + COMMENTS.name
    with (
        connected(required(settings.database_url, "database_url")) as connection,
        open_topic(kafka_of(settings), topic) as log,
    ):
        # The ledger is read first: if a worker commits meanwhile, the positions stay behind the end of the topic.
        positions = read_positions(connection, topic)
        readable = log.ranges()
        # Offsets of an open transaction are not readable, but they are not lost either.
        ends = log.written_ends(readable)
        written = {partition: (first, max(end, ends[partition])) for partition, (first, end) in readable.items()}
        losses = find_topic_changes(positions, log.topic_id, written)
        early = _decided_too_early(positions, log.topic_id, readable) if not losses else {}
        undecided = find_undecided(connection, topic, log.topic_id) if positions.next else []
        is_lost = bool(losses or undecided)
        accepted = yes and is_lost
        if accepted:
            accept(connection, topic, log.topic_id, losses, reason=reason, now_us=now_us(), undecided=undecided)
    if as_json:
        gaps = [
            {"partition": gap.partition, "first_offset": gap.first_offset, "next_offset": gap.next_offset}
            for gap in losses.gaps
        ]
        new_topic_id = str(log.topic_id) if losses.new_partitions else None
        former = [_former_fields(each) for each in undecided]
        print_json({"gaps": gaps, "new_topic_id": new_topic_id, "former_gaps": former, "accepted": accepted})
    else:
        for each in undecided:
            print_line(
                f"partition {each.partition} of former topic id {each.topic_id}: offsets [{each.first_offset}, "
                f"{each.next_offset}) are in the lake and were never decided; reconciliation counts them as lost once "
                "their loss is accepted"
            )
        _print(losses, positions, log.topic_id, is_lost=is_lost, accepted=accepted)
        for partition, (next_offset, end) in early.items():
            print_line(
                f"partition {partition}: the ledger accounts for offsets up to {next_offset}, but the topic is "
                f"readable up to {end} only: an earlier version of the worker decided records of a transaction that "
                "is still open. The worker waits until the transaction ends; `moderation status` shows how to end it"
            )
    if is_lost and not accepted:
        raise typer.Exit(REPORTED)


def _former_fields(gap: FormerGap) -> dict[str, Any]:
    return {
        "topic_id": str(gap.topic_id),
        "partition": gap.partition,
        "first_offset": gap.first_offset,
        "next_offset": gap.next_offset,
    }


def _decided_too_early(
    positions: LedgerPositions, topic_id: UUID, readable: Mapping[int, tuple[int, int]]
) -> dict[int, tuple[int, int]]:
    """The ledger's next offset and the last stable offset of partitions where the ledger is ahead."""
    next_offsets = positions.next.get(topic_id, {})
    return {p: (next_offsets[p], end) for p, (_, end) in readable.items() if next_offsets.get(p, 0) > end}


def _accept_in_lake(*, yes: bool, reason: str, data_folder: Path, as_json: bool) -> None:
    from batch.archive.gaps import find_gaps

    losses = find_gaps(connected_settings(data_folder), accept=yes, reason=reason)
    accepted = yes and bool(losses)
    if as_json:
        gaps = [
            {
                "topic": topic_partition.topic,
                "partition": topic_partition.partition,
                "first_offset": first,
                "next_offset": end,
            }
            for topic_partition, (first, end) in losses
        ]
        print_json({"gaps": gaps, "accepted": accepted})
    else:
        for topic_partition, (first, end) in losses:
            lost = end - first
            print_line(f"{topic_partition}: offsets [{first}, {end}) are gone and not in the lake, {lost:,} records")
        if not losses:
            print_line("no offset is missing between the archive and its topics")
        elif accepted:
            print_line("accepted; run `moderation archive` again")
        else:
            print_line("nothing was changed; `moderation accept-gap --lake --yes` accepts the loss")
    if losses and not accepted:
        raise typer.Exit(REPORTED)


def _print(losses: TopicChanges, positions: LedgerPositions, topic_id: UUID, *, is_lost: bool, accepted: bool) -> None:
    for gap in losses.gaps:
        lost = gap.next_offset - gap.first_offset
        print_line(
            f"partition {gap.partition}: offsets [{gap.first_offset}, {gap.next_offset}) are gone, {lost:,} records"
        )
    if losses.new_partitions:
        print_line(f"topic {positions.topic} was re-created: its id is {topic_id}")
        for old_id, next_offsets in positions.next.items():
            offsets = ", ".join(f"partition {partition} at {offset}" for partition, offset in next_offsets.items())
            print_line(f"the ledger has offsets of topic id {old_id}: {offsets}")
        starts = ", ".join(f"partition {partition} from {first}" for partition, first in losses.new_partitions.items())
        print_line(f"the worker would begin: {starts}" if not accepted else f"the worker begins: {starts}")
    if not is_lost:
        print_line(f"no offset is missing between the worker and topic {positions.topic}")
    elif accepted:
        print_line("accepted; start the worker again")
    else:
        print_line("nothing was changed; `moderation accept-gap --yes` accepts the loss")
