"""Columns of lake files: the record as it is in the log, and parsed fields for SQL queries.

The bytes of the record are authoritative: a recomputation parses ``value`` again with ``append_us``, as the worker
does. The parsed columns are null if the value cannot be parsed as a comment (or an action).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa

from moderation.adapters import error_origin
from moderation.adapters.kafka.topic_reader import LogRecord
from moderation.adapters.kafka.topics import ACTIONS, COMMENTS
from moderation.contracts import NEWEST_RULES, Rules, parse_action, parse_record
from moderation.errors import ConfigurationError, InvalidRecord
from moderation.offsets import TopicPartition

_log = logging.getLogger(__name__)
_RECORD = (
    pa.field("partition", pa.int32(), nullable=False),
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("append_us", pa.int64(), nullable=False),
    pa.field("key", pa.binary()),
    pa.field("value", pa.binary()),
    pa.field(
        "headers",
        pa.list_(pa.struct([pa.field("name", pa.string(), nullable=False), pa.field("value", pa.binary())])),
        nullable=False,
    ),
)
# Statistics of raw bytes are of no use and would fill the footer.
_WITHOUT_STATISTICS = ("key", "value", "record_id")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a topic's files.

    Attributes:
        schema: all columns.
        event_time: name of the column for statistics of event times.
        read: parses a record into the parsed columns, in the order of the schema.
        rules: rules by which it parses comments.
        keeps_letters: whether the archive stores dead letters of the topic; the worker stores those of comments.
    """

    schema: pa.Schema
    event_time: str
    read: Callable[[bytes, int], tuple[Any, ...]]
    rules: Rules = NEWEST_RULES
    keeps_letters: bool = False

    @property
    def moves_watermark(self) -> bool:
        """Whether event times of the topic move the watermark, as those of comments do."""
        return "community" in self.schema.names

    @property
    def statistics(self) -> list[str]:
        """Columns with statistics, by which readers may skip row groups."""
        return [
            field.name
            for field in self.schema
            if field.name not in _WITHOUT_STATISTICS and not pa.types.is_nested(field.type)
        ]


def _comment(value: bytes, append_us: int, rules: Rules = NEWEST_RULES) -> tuple[Any, ...]:
    comment = parse_record(value, append_us, rules)
    return comment.comment_id, comment.community, comment.event_time_us, comment.record_id()


def _action(value: bytes, _: int) -> tuple[Any, ...]:
    action = parse_action(value)
    return (
        action.comment_id,
        action.kind.value,
        action.moderator_key,
        action.reason,
        action.action_time_us,
        action.inclusion_probability,
    )


_COLUMNS = {
    COMMENTS.name: Columns(
        pa.schema(
            [
                *_RECORD,
                ("comment_id", pa.string()),
                ("community", pa.string()),
                ("event_time_us", pa.int64()),
                ("record_id", pa.binary(32)),
            ]
        ),
        "event_time_us",
        _comment,
    ),
    ACTIONS.name: Columns(
        pa.schema(
            [
                *_RECORD,
                ("comment_id", pa.string()),
                ("kind", pa.string()),
                ("moderator_key", pa.string()),
                ("reason", pa.string()),
                ("action_time_us", pa.int64()),
                ("inclusion_probability", pa.float64()),
            ]
        ),
        "action_time_us",
        _action,
        keeps_letters=True,
    ),
}
ARCHIVED = tuple(_COLUMNS)
"""Names of the archived topics, without prefix."""


def columns_of(name: str, rules: Rules = NEWEST_RULES) -> Columns:
    """The columns of a topic's files.

    Args:
        name: topic name without prefix.
        rules: rules by which comments are parsed; stored with each file.

    Raises:
        ConfigurationError: the topic is not archived.
    """
    if name not in _COLUMNS:
        raise ConfigurationError(
            f"topic {name}", "it is not archived", f"The archived topics are {', '.join(ARCHIVED)}."
        )
    columns = _COLUMNS[name]
    return replace(columns, read=partial(_comment, rules=rules), rules=rules) if name == COMMENTS.name else columns


def table_of(
    topic_partition: TopicPartition,
    columns: Columns,
    records: Sequence[LogRecord],
    failed: Callable[[int, str], None] = lambda offset, error: None,
    refused: Callable[[LogRecord, InvalidRecord], None] = lambda record, error: None,
) -> pa.Table:
    """Convert records of one partition to a table, one row for each record.

    The parsed columns of a record that cannot be parsed are null.

    Args:
        topic_partition: partition of the records.
        columns: columns of the topic.
        records: in order of offsets.
        failed: called with the offset of each record whose parsing fails unexpectedly, and the class of the error.
        refused: called with each record that is not a comment (or an action), and the error.

    Raises:
        Exception: parsing failed for a reason other than the record, see :mod:`moderation.adapters.error_origin`.
    """
    nothing = (None,) * (len(columns.schema) - len(_RECORD))
    rows = []
    for record in records:
        try:
            read = columns.read(record.value or b"", record.append_us)
        except InvalidRecord as error:
            refused(record, error)
            read = nothing
        except Exception as error:
            # A defect that this record triggers. The text of the error may quote the comment.
            if not error_origin.is_caused_by_record(error):
                raise
            _log.error(
                "%s offset %d cannot be parsed: %s", topic_partition, record.offset, error_origin.class_name(error)
            )
            failed(record.offset, error_origin.class_name(error))
            read = nothing
        headers = [{"name": name, "value": value} for name, value in record.headers]
        rows.append(
            (topic_partition.partition, record.offset, record.append_us, record.key, record.value, headers, *read)
        )
    arrays = [
        pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), columns.schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=columns.schema)
