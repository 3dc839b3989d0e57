"""A topic looked at from outside a worker: which topic it is, what it still holds, one record or a range of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast
from uuid import UUID

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, Message, TopicPartition

from moderation.adapters.topics import describe_topic_ids, topic_uuid
from moderation.errors import ConfigurationError, SourceRefused

_REQUEST_SECONDS = 30.0
_POLL_SECONDS = 0.05
_OVERTAKEN = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)
_GONE = (*_OVERTAKEN, KafkaError._PARTITION_EOF)
# The client mends these itself; only a silence that lasts is an error.
_PASSING = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT)
# The partition's leader moves, or was only just chosen; over in moments.
_MOVING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
)
# Messages handed over at a time: few, for each of them may be a mebibyte.
_AT_ONCE = 256
_CONSUME_SECONDS = 0.2
_SILENCE_SECONDS = 60.0
_ERRORS_ONLY = 3
_Headers = Sequence[tuple[str, bytes | str | None]]


class LogRecord(NamedTuple):
    """One record as the log has it.

    Attributes:
        offset: its place in the partition.
        append_us: the broker's append time, microseconds since the epoch.
        key: its key; None if it has none.
        value: its bytes, untouched; None if it has none.
        headers: names and values, in their order; a name may stand more than once.
    """

    offset: int
    append_us: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class SourceLog:
    """A look at one topic. It takes part in no group and commits nothing.

    Args:
        bootstrap: Kafka's addresses.
        topic: full name.
        configuration: further settings of the client, e.g. for authentication; how offsets are treated stays ours.

    Attributes:
        topic_id: Kafka's id of the topic as it is now.
    """

    def __init__(self, bootstrap: str, topic: str, configuration: Mapping[str, Any] | None = None) -> None:
        self.topic = topic
        given = dict(configuration or {})
        # A consumer's settings mean nothing to the administration client, which would say so about each.
        quiet = given | {"log_level": _ERRORS_ONLY}
        self.topic_id: UUID = topic_uuid(describe_topic_ids(bootstrap, [topic], configuration=quiet)[topic])
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "moderation-looking",
                "queued.min.messages": 1,
                "log_level": 4,
                **given,
                "enable.auto.commit": False,
                # An offset that is gone must be told, not replaced by the nearest that is left.
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "isolation.level": "read_uncommitted",
            }
        )

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def ranges(self) -> dict[int, tuple[int, int]]:
        """For each partition the first offset it still has and its end, half-open."""
        partitions = self._consumer.list_topics(self.topic, timeout=_REQUEST_SECONDS).topics[self.topic].partitions
        return {partition: self.range_of(partition) for partition in sorted(partitions)}

    def value_at(self, partition: int, offset: int) -> bytes | None:
        """The value of one record; None if the topic does not have it any more."""
        found = self.value_and_time_at(partition, offset)
        return None if found is None else found[0]

    def value_and_time_at(self, partition: int, offset: int) -> tuple[bytes, int] | None:
        """Value and append time (microseconds) of one record; None if the topic does not have it any more."""
        known = self._consumer.list_topics(self.topic, timeout=_REQUEST_SECONDS).topics[self.topic]
        if partition not in known.partitions:
            return None
        first, end = self.range_of(partition)
        if not first <= offset < end:
            return None
        self._consumer.assign([TopicPartition(self.topic, partition, offset)])
        message = self._consumer.poll(_REQUEST_SECONDS)
        self._consumer.unassign()
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no record within {_REQUEST_SECONDS:g} s"))
        error = message.error()
        if error is not None and error.code() not in _GONE:
            raise KafkaException(error)
        if error is not None or message.offset() != offset:
            return None
        return _bytes(message.value()) or b"", message.timestamp()[1] * 1_000

    def records(self, partition: int, first: int, end: int) -> Iterator[LogRecord]:
        """Read the records with offsets in [first, end), every one of them, in order.

        The end must not lie beyond the log's.

        Raises:
            SourceRefused: an offset of the range is not there (retention came by, or it is no record), or its time is
                not the broker's; named with topic, partition and range.
            KafkaException: the brokers are silent for a minute, or refuse.
        """
        if first >= end:
            return
        self._consumer.assign([TopicPartition(self.topic, partition, first)])
        try:
            expected, heard = first, time.monotonic()
            while expected < end:
                messages = self._consumer.consume(min(_AT_ONCE, end - expected), _CONSUME_SECONDS)
                for message in messages:
                    if (error := message.error()) is not None:
                        self._judge(error, partition, expected, end)
                        continue
                    offset = message.offset()
                    if offset is None or offset != expected:
                        raise self._hole(partition, expected, min(offset or 0, end))
                    yield self._record(message, partition, offset)
                    heard = time.monotonic()
                    expected += 1
                if time.monotonic() - heard > _SILENCE_SECONDS:
                    cause = f"no record of {self.topic} partition {partition} within {_SILENCE_SECONDS:g} s"
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, cause))
        finally:
            self._consumer.unassign()

    def _judge(self, error: KafkaError, partition: int, expected: int, end: int) -> None:
        if error.code() in _OVERTAKEN:
            first, _ = self.range_of(partition)
            raise SourceRefused(
                f"topic {self.topic} partition {partition}",
                f"offsets [{expected}, {first}) are gone: retention overtook whoever reads them",
                "Try again; what is to be done is named then.",
            )
        if error.code() == KafkaError._PARTITION_EOF:
            # Everything before the end was asked for while it was there: what is left of the range holds no records.
            raise self._hole(partition, expected, end)
        if error.code() not in _PASSING and not error.retriable():
            raise KafkaException(error)

    def _hole(self, partition: int, first: int, following: int) -> SourceRefused:
        return SourceRefused(
            f"topic {self.topic} partition {partition}",
            f"offsets [{first}, {following}) hold no records: somebody writes in transactions, or it was compacted",
            "Find the writer or the setting, then make the topic anew: nothing here may leave holes.",
        )

    def _record(self, message: Message, partition: int, offset: int) -> LogRecord:
        kind, append_ms = message.timestamp()
        if kind != TIMESTAMP_LOG_APPEND_TIME:
            raise SourceRefused(
                f"topic {self.topic} partition {partition}",
                f"the time of offset {offset} is not the broker's append time",
                "Set message.timestamp.type to LogAppendTime and make the topic anew.",
            )
        headers = [(name, _bytes(value)) for name, value in cast(_Headers, message.headers() or ())]
        return LogRecord(offset, append_ms * 1_000, _bytes(message.key()), _bytes(message.value()), headers)

    def range_of(self, partition: int) -> tuple[int, int]:
        """The first offset a partition still has and its end, half-open."""
        deadline = time.monotonic() + _REQUEST_SECONDS
        while True:
            try:
                first, end = self._consumer.get_watermark_offsets(
                    TopicPartition(self.topic, partition), timeout=_REQUEST_SECONDS
                )
            except KafkaException as error:
                if error.args[0].code() not in _MOVING or time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)
            else:
                return first, end


def _bytes(of: bytes | str | None) -> bytes | None:
    return of.encode() if isinstance(of, str) else of


@contextmanager
def opened(bootstrap: str, topic: str, configuration: Mapping[str, Any] | None = None) -> Iterator[SourceLog]:
    """Look at a topic; the connection ends with the block. For the arguments see :class:`SourceLog`.

    Raises:
        ConfigurationError: the topic does not exist, or Kafka does not answer (inside the block, too).
    """
    try:
        log = SourceLog(bootstrap, topic, configuration)
        try:
            yield log
        finally:
            log.close()
    except KafkaException as error:
        raise ConfigurationError(
            f"Kafka at {bootstrap}",
            str(error.args[0].str()).rstrip("."),
            "See MODERATION_KAFKA_BOOTSTRAP and `moderation status`.",
        ) from error
