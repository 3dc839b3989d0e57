"""Rows of the ledger as the records that the published topics have of them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Literal

from moderation.adapters.kafka.published_records import (
    alert_value,
    decision_fields,
    decision_key,
    decision_value,
    pane_key,
    pane_value,
)
from moderation.adapters.sql.connection import Connection
from moderation.adapters.sql.published_rows import RowSelection, SourcePartition, decisions, panes

PublishedTopic = Literal["decisions", "alerts", "panes"]
PUBLISHED_TOPICS: tuple[PublishedTopic, ...] = ("decisions", "alerts", "panes")
Keyed = tuple[int, bytes, bytes]
"""Position within the partition (an offset, or the start of a pane), key, value."""


def row_records(
    connection: Connection,
    topic: str,
    published: PublishedTopic,
    source: SourcePartition,
    chosen: RowSelection,
    after: int | None = None,
) -> Generator[Keyed]:
    """Yield the records of a partition in order. Close the generator: its transaction is open until then.

    Args:
        connection: to the ledger.
        topic: full name of the source topic.
        published: the published topic.
        source: the partition of the source topic.
        chosen: filter of rows.
        after: position to continue after; panes with that start are yielded again.
    """
    if published == "panes":
        with closing(panes(connection, topic, source, chosen, first_us=after or 0)) as closed_panes:
            for pane in closed_panes:
                yield pane.start_us, pane_key(pane), pane_value(pane)
        return
    first = 0 if after is None else after + 1
    with closing(decisions(connection, source, chosen, first=first, alerts_only=published == "alerts")) as rows:
        topic_id = str(source.topic_id)
        for row, versions in rows:
            fields = decision_fields(topic, topic_id, row, versions)
            value = alert_value(fields, row) if published == "alerts" else decision_value(fields)
            yield row.offset, decision_key(row), value
