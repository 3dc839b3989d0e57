"""``moderation dead-letters list --topic actions``: records of topic actions that could not be read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from cli.output import console, print_json, printable, utc

if TYPE_CHECKING:
    from moderation.settings import Settings


def list_action_letters(
    settings: Settings, reason: str | None, partition: int | None, limit: int, *, as_json: bool
) -> None:
    """Print dead letters of topic ``actions``, newest first, and how many there are for each reason."""
    from moderation.adapters.kafka.topics import ACTIONS
    from moderation.adapters.sql.action_letters import ActionSelection, count_action_letters, newest_action_letters
    from moderation.adapters.sql.connection import connected
    from moderation.settings import required

    selection = ActionSelection(settings.topic_prefix + ACTIONS.name, reason, partition)
    with connected(required(settings.database_url, "database_url")) as connection:
        letters = newest_action_letters(connection, selection, limit)
        counts = count_action_letters(connection, selection)
    by_reason: Counter[str] = Counter()
    for each, _, count in counts:
        by_reason[each] += count
    if as_json:
        rows = [
            {
                "topic_id": str(topic_id),
                "partition": number,
                "offset": letter.offset,
                "reason": letter.reason,
                "field": letter.field,
                "detail": letter.detail,
                "append_us": letter.append_us,
            }
            for topic_id, number, letter in letters
        ]
        print_json({"dead_letters": rows, "total": by_reason.total(), "by_reason": dict(by_reason.most_common())})
        return
    if not letters:
        console.print("no dead letters of actions")
        return
    table = Table("partition", "offset", "reason", "field", "detail", "appended (UTC)")
    for _, number, letter in letters:
        detail = Text(printable(letter.detail))
        table.add_row(str(number), str(letter.offset), letter.reason, letter.field, detail, utc(letter.append_us))
    console.print(table)
    console.print(
        f"{by_reason.total():,} in all: {', '.join(f'{count:,} {each}' for each, count in by_reason.most_common())}"
    )
