"""Republish ledger rows, after a published topic was lost or to another topic for a new consumer.

Keys and values are the bytes that the worker publishes. A header ``republished`` marks the records; consumers that
treat the topics as upserts may ignore it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from moderation.adapters.kafka.acknowledged_sender import Headers
from moderation.adapters.kafka.row_records import PUBLISHED_TOPICS, PublishedTopic, row_records
from moderation.adapters.sql.connection import Connection
from moderation.adapters.sql.published_rows import RowSelection, source_partitions
from moderation.contracts import REPUBLISHED, RecordPosition

__all__ = ["CHECKPOINT_RECORDS", "PUBLISHED_TOPICS", "PublishedTopic", "Republished", "Sender", "republish"]
CHECKPOINT_RECORDS = 5_000
"""Number of records between two checkpoints."""


class Sender(Protocol):
    """Sends records; see :class:`moderation.adapters.kafka.acknowledged_sender.AcknowledgedSender`."""

    def send(self, key: bytes, value: bytes, headers: Headers) -> None:
        """Enqueue a record."""

    def wait(self) -> None:
        """Wait for all acknowledgements."""


@dataclass(slots=True)
class Republished:
    """Progress of republishing.

    Attributes:
        sent: acknowledged records; without a sender, records that would be sent.
        last: position of the last one: topic id and partition of the source topic, then the offset of a decision
            or the start of a pane in microseconds; None before the first.
    """

    sent: int = 0
    last: RecordPosition | None = None


def republish(
    connection: Connection,
    topic: str,
    published: PublishedTopic,
    chosen: RowSelection,
    sender: Sender | None,
    on_checkpoint: Callable[[Republished], None],
    after: RecordPosition | None = None,
) -> Republished:
    """Send rows in order of topic id, partition and position, with constant memory.

    Args:
        connection: to the ledger.
        topic: full name of the source topic.
        published: the published topic whose records are sent.
        chosen: the selected rows.
        sender: sends the records; None only counts them.
        on_checkpoint: called after every checkpoint, with all records up to the position acknowledged.
        after: ``last`` of an earlier run to continue; panes with that start are sent again.
    """
    done, pending = Republished(), Republished()

    def checkpoint() -> None:
        if sender is not None:
            sender.wait()
        done.sent, done.last = pending.sent, pending.last
        on_checkpoint(done)

    for source in source_partitions(connection, topic, chosen.partition):
        source_partition = (source.topic_id, source.partition)
        if after is not None and source_partition < after[:2]:
            continue
        start = after.offset if after is not None and source_partition == after[:2] else None
        with closing(row_records(connection, topic, published, source, chosen, start)) as records:
            for position, key, value in records:
                if sender is not None:
                    sender.send(key, value, [(REPUBLISHED, b"1")])
                pending.sent, pending.last = pending.sent + 1, RecordPosition(*source_partition, position)
                if pending.sent % CHECKPOINT_RECORDS == 0:
                    checkpoint()
    checkpoint()
    return done
