"""Identify the producers of dead letters by record key, or else by header."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from moderation.adapters.kafka.topic_reader import LogRecord, TopicReader
from moderation.adapters.lake.reader import Lake
from moderation.contracts import REPLAY_OF
from moderation.errors import TopicRefused

_MOST_BYTES = 256
_MOST_BETWEEN = 64
"""Maximum number of offsets between two wanted ones that are read too; that is cheaper than another request."""


class ProducerKey(NamedTuple):
    """The key of a record, or a header in its place.

    Attributes:
        header: name of the header; None if the value is the record's key.
        value: first 256 bytes of the key or header.
    """

    header: str | None
    value: bytes


Keys = dict[tuple[int, int], ProducerKey | None]
"""The keys of records by partition and offset; None for a record with neither key nor header."""


def producer_key(record: LogRecord) -> ProducerKey | None:
    """The key of a record; else its first header with a value; None if it has neither."""
    return _key_of(record.key, record.headers)


def _key_of(key: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> ProducerKey | None:
    if key is not None:
        return ProducerKey(None, key[:_MOST_BYTES])
    for name, value in headers:
        if name != REPLAY_OF and value is not None:
            return ProducerKey(name, value[:_MOST_BYTES])
    return None


def archived_keys(lake: Lake, topic_id: UUID, offsets: Mapping[int, Sequence[int]]) -> Keys:
    """Read keys of records from the lake. Records that the lake does not have are left out.

    Args:
        lake: the lake.
        topic_id: Kafka's id of the topic.
        offsets: which ones, by partition, in any order.

    Raises:
        LakeDamaged: a file is missing or altered.
    """
    return {
        (partition, offset): _key_of(row["key"], ((header["name"], header["value"]) for header in row["headers"]))
        for partition, wanted in offsets.items()
        for offset, row in lake.rows_at(topic_id, partition, wanted, ["key", "headers"]).items()
    }


def keys_at(log: TopicReader, offsets: Mapping[int, Sequence[int]]) -> Keys:
    """Read keys of records from the topic. Records that the topic no longer has are left out.

    Args:
        log: the topic.
        offsets: which ones, by partition, in any order.

    Returns:
        By partition and offset.

    Raises:
        BrokerUnavailable: the brokers do not answer for a minute.
    """
    keys: Keys = {}
    for partition, wanted in offsets.items():
        first, end = log.range_of(partition)
        chosen = {offset for offset in wanted if first <= offset < end}
        for lo, hi in _ranges(sorted(chosen)):
            try:
                for record in log.records(partition, lo, hi):
                    if isinstance(record, LogRecord) and record.offset in chosen:
                        keys[partition, record.offset] = producer_key(record)
            except TopicRefused:  # retention deleted them meanwhile
                continue
    return keys


def _ranges(offsets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Half-open ranges that cover ascending offsets and few others."""
    lo: int | None = None
    hi = 0
    for offset in offsets:
        if lo is not None and offset - hi > _MOST_BETWEEN:
            yield lo, hi
            lo = None
        lo, hi = offset if lo is None else lo, offset + 1
    if lo is not None:
        yield lo, hi
