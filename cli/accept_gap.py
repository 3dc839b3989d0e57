"""``moderation accept-gap``: what stands between the worker and its topic, and a person's word that it may go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import connected_settings
from cli.output import console, print_json
from cli.stack import DEFAULT_FOLDER, FolderOption
from moderation.timestamps import now_us

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from uuid import UUID

    from moderation.offsets import LedgerPositions, TopicChanges

_TO_BE_ACCEPTED = 1


def accept_gap(
    yes: Annotated[bool, typer.Option("--yes", help="Accept it; without this it is only shown.")] = False,
    reason: Annotated[str, typer.Option(help="Kept with each gap: why the records are gone.")] = "none given",
    lake: Annotated[
        bool, typer.Option("--lake", help="What stands in the way of the archive, not of the worker.")
    ] = False,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show offsets the topic lost before the worker read them, or a topic made anew; with --yes let the worker go on.

    The offsets of an accepted gap are recorded and counted as lost. Exit code 0 when nothing is in the way or all of
    it was accepted, 1 when something is to be accepted, or cannot be: a topic that ends before the ledger does.

    With --lake the same for the archive: offsets that topics lost before they were archived. They are missing from the
    lake for good; archiving goes on behind them. --json then prints {"gaps": [{"topic", "partition", "first_offset",
    "next_offset"}], "accepted"}.
    """
    if "\0" in reason:
        raise typer.BadParameter("it holds a NUL character", param_hint="--reason")
    if lake:
        _accept_in_lake(yes=yes, reason=reason, data_folder=data_folder, as_json=as_json)
        return
    from moderation.adapters.kafka.topic_reader import open_topic
    from moderation.adapters.kafka.topics import COMMENTS
    from moderation.adapters.sql.connection import connected
    from moderation.adapters.sql.gaps import accept, read_positions
    from moderation.offsets import find_topic_changes
    from moderation.settings import required

    settings = connected_settings(data_folder)
    topic = settings.topic_prefix + COMMENTS.name
    with (
        connected(required(settings.database_url, "database_url")) as connection,
        open_topic(settings.kafka_bootstrap, topic) as log,
    ):
        # The ledger first: a worker that goes on meanwhile is then behind the topic's end, never ahead of it.
        positions = read_positions(connection, topic)
        readable = log.ranges()
        # Offsets of a transaction that is open are not readable, and not gone either.
        ends = log.written_ends(readable)
        written = {partition: (first, max(end, ends[partition])) for partition, (first, end) in readable.items()}
        found = find_topic_changes(positions, log.topic_id, written)
        early = _decided_too_early(positions, log.topic_id, readable) if not found else {}
        accepted = yes and bool(found)
        if accepted:
            accept(connection, topic, log.topic_id, found, reason=reason, now_us=now_us())
    if as_json:
        gaps = [
            {"partition": gap.partition, "first_offset": gap.first_offset, "next_offset": gap.next_offset}
            for gap in found.gaps
        ]
        new_topic_id = str(log.topic_id) if found.new_partitions else None
        print_json({"gaps": gaps, "new_topic_id": new_topic_id, "accepted": accepted})
    else:
        _print(found, positions, log.topic_id, accepted=accepted)
        for partition, (following, end) in early.items():
            _say(
                f"partition {partition}: the ledger accounts for offsets up to {following}, but the topic is readable "
                f"up to {end} only: an earlier version of the worker decided records of a transaction that is still "
                "open. The worker waits until the transaction ends; `moderation status` shows how to end it"
            )
    if found and not accepted:
        raise typer.Exit(_TO_BE_ACCEPTED)


def _decided_too_early(
    positions: LedgerPositions, topic_id: UUID, readable: Mapping[int, tuple[int, int]]
) -> dict[int, tuple[int, int]]:
    """The ledger's next offset and the last stable offset of partitions where the ledger is ahead."""
    following = positions.next.get(topic_id, {})
    return {p: (following[p], end) for p, (_, end) in readable.items() if following.get(p, 0) > end}


def _accept_in_lake(*, yes: bool, reason: str, data_folder: Path, as_json: bool) -> None:
    from batch.archive.gaps import find_gaps

    found = find_gaps(connected_settings(data_folder), accept=yes, reason=reason)
    accepted = yes and bool(found)
    if as_json:
        gaps = [
            {"topic": source.topic, "partition": source.partition, "first_offset": first, "next_offset": following}
            for source, (first, following) in found
        ]
        print_json({"gaps": gaps, "accepted": accepted})
    else:
        for source, (first, following) in found:
            lost = following - first
            _say(f"{source}: offsets [{first}, {following}) are gone and not in the lake, {lost:,} records")
        if not found:
            _say("nothing stands between the archive and its topics")
        elif accepted:
            _say("accepted; archive again")
        else:
            _say("nothing was changed; `moderation accept-gap --lake --yes` accepts it")
    if found and not accepted:
        raise typer.Exit(_TO_BE_ACCEPTED)


def _print(found: TopicChanges, positions: LedgerPositions, topic_id: UUID, *, accepted: bool) -> None:
    for gap in found.gaps:
        lost = gap.next_offset - gap.first_offset
        _say(f"partition {gap.partition}: offsets [{gap.first_offset}, {gap.next_offset}) are gone, {lost:,} records")
    if found.new_partitions:
        _say(f"topic {positions.topic} was made anew: its id is {topic_id}")
        for known, following in positions.next.items():
            places = ", ".join(f"partition {partition} at {offset}" for partition, offset in following.items())
            _say(f"the ledger stood on {known}: {places}")
        starts = ", ".join(f"partition {partition} from {first}" for partition, first in found.new_partitions.items())
        _say(f"the worker would begin: {starts}" if not accepted else f"the worker begins: {starts}")
    if not found:
        _say(f"nothing stands between the worker and topic {positions.topic}")
    elif accepted:
        _say("accepted; start the worker again")
    else:
        _say("nothing was changed; `moderation accept-gap --yes` accepts it")


def _say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
