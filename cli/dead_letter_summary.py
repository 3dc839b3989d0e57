"""``moderation dead-letters summary``: dead letters counted by reason, field and producer key."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, printable

if TYPE_CHECKING:
    from uuid import UUID

    from moderation.adapters.kafka.producer_keys import ProducerKey
    from moderation.adapters.sql.dead_letters import Selection
    from moderation.settings import Settings

_MOST_CHARACTERS = 60
_NO_KEY, _GONE = "none", "gone"
Row = tuple[str, str, str, str]
"""Origin of the key, the key, reason and field."""


def summary(
    only_open: Annotated[bool, typer.Option("--open", help="Leave out dead letters whose replay was decided.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Maximum lines of each table.")] = 10,
    newest: Annotated[
        int, typer.Option(min=0, max=10_000, help="How many dead letters to read keys for, the newest.")
    ] = 1_000,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Count dead letters by reason and field, and the newest ones by the key of their producer.

    The ledger stores no keys. The command reads them from the topic, or from the lake if the topic no longer has the
    records: the key of the record or, without a key, its first header. Keys are escaped and shortened. Values of
    records are never shown.

    Example: `moderation dead-letters summary --open --newest 5000`

    --json prints {"total", "by_field": [{"reason", "field", "letters"}], "examined", "by_key": [{"key_from", "key",
    "reason", "field", "letters"}], "actions"}. "key_from" is "key", "header NAME", "none" (the record has neither) or
    "gone" (neither topic nor lake has the record). "field" is empty if the reason applies to the whole record.
    "actions" is like "by_field", for the records of topic actions that the archive could not read.
    """
    from moderation.adapters.kafka.topics import ACTIONS, COMMENTS
    from moderation.adapters.sql.action_letters import ActionSelection, count_action_letters
    from moderation.adapters.sql.connection import connected
    from moderation.adapters.sql.dead_letters import Selection, count_by_field, count_by_reason
    from moderation.settings import required

    settings = connected_settings(data_folder)
    topic = settings.topic_prefix + COMMENTS.name
    selection = Selection(topic, only_open=only_open)
    with connected(required(settings.database_url, "database_url")) as connection:
        total = sum(count_by_reason(connection, selection).values())
        by_field = count_by_field(connection, selection, limit)
        actions = count_action_letters(connection, ActionSelection(settings.topic_prefix + ACTIONS.name))
    by_key = _by_key(settings, selection, newest) if total and newest else Counter[Row]()
    if as_json:
        fields, of_actions = (
            [{"reason": reason, "field": field, "letters": letters} for reason, field, letters in rows]
            for rows in (by_field, actions[:limit])
        )
        keys: list[dict[str, Any]] = [
            {"key_from": key_from, "key": key, "reason": reason, "field": field, "letters": letters}
            for (key_from, key, reason, field), letters in by_key.most_common(limit)
        ]
        examined = by_key.total()
        print_json({"total": total, "by_field": fields, "examined": examined, "by_key": keys, "actions": of_actions})
        return
    if actions:
        count = sum(letters for _, _, letters in actions)
        table = Table("letters", "reason", "field", title=f"{count:,} dead letters of topic actions")
        for reason, field, letters in actions[:limit]:
            table.add_row(f"{letters:,}", reason, field)
        console.print(table)
    if not total:
        console.print("no dead letters of comments" if actions else "no dead letters")
        return
    table = Table("letters", "reason", "field", title=f"{total:,} dead letters")
    for reason, field, letters in by_field:
        table.add_row(f"{letters:,}", reason, Text(printable(field)))
    console.print(table)
    if by_key:
        table = Table("letters", "key from", "key", "reason", "field", title=f"keys of the newest {by_key.total():,}")
        for (key_from, key, reason, field), letters in by_key.most_common(limit):
            table.add_row(f"{letters:,}", Text(key_from), Text(key), reason, Text(printable(field)))
        console.print(table)


def shown_key(value: bytes) -> str:
    """Return a key for a terminal: escaped, and cut after 60 characters."""
    text = printable(value.decode("utf-8", "backslashreplace"))
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"


def _by_key(settings: Settings, selection: Selection, newest: int) -> Counter[Row]:
    from moderation.adapters.kafka.connection import kafka_of
    from moderation.adapters.kafka.producer_keys import Keys, archived_keys, keys_at
    from moderation.adapters.kafka.topic_reader import open_topic
    from moderation.adapters.lake.reader import opened_lake
    from moderation.adapters.sql.connection import connected
    from moderation.adapters.sql.dead_letters import newest_positions
    from moderation.settings import required

    with connected(required(settings.database_url, "database_url")) as connection:
        positions = newest_positions(connection, selection, newest)
    offsets: dict[UUID, dict[int, list[int]]] = {}
    for position in positions:
        offsets.setdefault(position.topic_id, {}).setdefault(position.partition, []).append(position.offset)
    keys: dict[UUID, Keys] = {}
    with open_topic(kafka_of(settings), selection.topic) as log:
        if log.topic_id in offsets:
            keys[log.topic_id] = keys_at(log, offsets[log.topic_id])
    with opened_lake(settings) as lake:
        for topic_id, wanted in offsets.items():
            topic_keys = keys.setdefault(topic_id, {})
            gone = {p: [offset for offset in chosen if (p, offset) not in topic_keys] for p, chosen in wanted.items()}
            topic_keys.update(archived_keys(lake, topic_id, {p: chosen for p, chosen in gone.items() if chosen}))
    rows: Counter[Row] = Counter()
    for position in positions:
        topic_keys = keys[position.topic_id]
        at = (position.partition, position.offset)
        key_from, key = _named(topic_keys[at]) if at in topic_keys else (_GONE, "")
        rows[key_from, key, position.reason, position.field] += 1
    return rows


def _named(key: ProducerKey | None) -> tuple[str, str]:
    if key is None:
        return _NO_KEY, ""
    key_from = "key" if key.header is None else f"header {shown_key(key.header.encode())}"
    return key_from, shown_key(key.value)
