"""Read a topic outside of a worker: its id, its offset ranges, single records and ranges of records."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from aiokafka.errors import KafkaError as AiokafkaError
from aiokafka.errors import OffsetOutOfRangeError
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from moderation.adapters.kafka.access import require_accepted
from moderation.adapters.kafka.batch_unpacker import HoleRecord
from moderation.adapters.kafka.broker_errors import broker_error
from moderation.adapters.kafka.committed_reader import CommittedReader
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.end_offsets import written_ends
from moderation.adapters.kafka.topics import (
    describe_topic_ids,
    is_compacted,
    missing_topics,
    require_broker_times,
    retention,
    topic_uuid,
)
from moderation.contracts import Hole, HoleKind, clipped, without_compaction
from moderation.errors import TopicRefused

T = TypeVar("T")
_REQUEST_SECONDS = 30.0
_POLL_SECONDS = 0.05
# Errors during a leader election, which ends soon.
_MOVING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
)
_LOG_APPEND_TIME = 1
_log = logging.getLogger(__name__)
_ERRORS_ONLY = 3


class LogRecord(NamedTuple):
    """A record of the log.

    Attributes:
        offset: offset in the partition.
        append_us: the broker's append time, microseconds since the epoch.
        key: its key; None if it has none.
        value: its unchanged bytes; None if it has none.
        headers: names and values, in their order; a name may occur more than once. Bytes of a name that are not UTF-8
            become ``\\xNN``.
        has_append_time: whether the broker set ``append_us``; else a producer did, as the topic allowed.
    """

    offset: int
    append_us: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    has_append_time: bool = True


class TopicReader:
    """Reads one topic without a consumer group and without commits.

    Args:
        kafka: the connection.
        topic: full name.

    Attributes:
        topic_id: Kafka's current id of the topic.
    """

    def __init__(self, kafka: KafkaConnection, topic: str) -> None:
        self.topic = topic
        self._kafka = kafka.with_settings({"log_level": _ERRORS_ONLY})
        self.topic_id: UUID = topic_uuid(describe_topic_ids(self._kafka, [topic])[topic])
        # The client needs the name of a group; it joins none.
        own = {"group.id": "moderation-looking", "enable.auto.commit": False, "isolation.level": "read_committed"}
        self._consumer = Consumer(kafka.librdkafka({"log_level": 4, **own}))
        self._reader = CommittedReader(kafka, topic)

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()
        self._consumer.close()

    def ranges(self) -> dict[int, tuple[int, int]]:
        """First offset and last stable offset of each partition, half-open.

        Raises:
            KafkaException: the topic was deleted, or the brokers do not answer or refuse.
        """
        return {partition: self.range_of(partition) for partition in self._partitions()}

    def written_ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """The log ends of partitions; unlike last stable offsets, they include open transactions."""
        return written_ends(
            self._kafka,
            self.topic,
            partitions,
            timeout_seconds=_REQUEST_SECONDS,
        )

    def retention_ms(self) -> int | None:
        """Retention time of records after their append, in milliseconds.

        None without a limit, and, with a warning, if the brokers do not allow to read the settings.
        """
        try:
            return retention(self._kafka, self.topic).ms
        except KafkaException as error:
            _log.warning("cannot read the retention of topic %s: %s", self.topic, error.args[0].str())
            return None

    def first_offset_since(self, partition: int, time_us: int) -> int | None:
        """First offset whose record has this time or a later one; None if there is none.

        Args:
            partition: the partition.
            time_us: microseconds since the epoch; times before 1970 count as 1970.
        """
        asked = TopicPartition(self.topic, partition, max(time_us, 0) // 1_000)
        [answer] = self._consumer.offsets_for_times([asked], timeout=_REQUEST_SECONDS)
        if answer.error is not None:
            raise KafkaException(answer.error)
        return None if answer.offset < 0 else int(answer.offset)

    def value_at(self, partition: int, offset: int) -> bytes | None:
        """The value of one record; None if the topic no longer has it."""
        value_and_time = self.value_and_time_at(partition, offset)
        return None if value_and_time is None else value_and_time[0]

    def value_and_time_at(self, partition: int, offset: int) -> tuple[bytes, int] | None:
        """Value and append time (microseconds) of one record; None if the topic no longer has it."""
        if partition not in self._partitions():
            return None
        first, end = self.range_of(partition)
        if not first <= offset < end:
            return None
        record = next(self._reader.read(partition, offset, offset + 1))
        return None if isinstance(record, HoleRecord) else (record.value or b"", record.timestamp * 1_000)

    def records(self, partition: int, first: int, end: int) -> Iterator[LogRecord | Hole]:
        """Read every offset of [first, end) in order, as a record or inside a hole.

        The end must not be greater than the last stable offset.

        Raises:
            TopicRefused: retention deleted offsets of the range meanwhile.
            BrokerUnavailable: the brokers do not answer for a minute.
            aiokafka.errors.KafkaError: the brokers refuse the request.
        """
        if first >= end:
            return
        try:
            for record in self._reader.read(partition, first, end):
                if isinstance(record, HoleRecord):
                    if (hole := clipped(record.hole, first, end)) is not None:
                        is_deleted = hole.kind is HoleKind.DELETED
                        yield without_compaction(hole) if is_deleted and not self._is_compacted() else hole
                elif record.offset < end:
                    yield self._record(record)
        except OffsetOutOfRangeError as error:
            start, _ = self.range_of(partition)
            raise TopicRefused(
                f"topic {self.topic} partition {partition}",
                f"offsets [{first}, {start}) are gone: retention deleted them while they were read",
                "Try again; the next attempt reports what to do.",
            ) from error

    def _record(self, record: Any) -> LogRecord:
        has_append_time = record.timestamp_type == _LOG_APPEND_TIME
        append_us, headers = record.timestamp * 1_000, list(record.headers)
        return LogRecord(record.offset, append_us, record.key, record.value, headers, has_append_time)

    def require_append_time(self) -> None:
        """Check that brokers set the timestamps of records; only log if they do not allow to read the settings.

        Raises:
            TopicRefused: producers set the timestamps.
        """
        try:
            client = AdminClient(self._kafka.librdkafka())
            require_broker_times(self.topic, client)
        except KafkaException as error:
            _log.warning("cannot read the timestamp type of topic %s: %s", self.topic, error.args[0].str())

    def _is_compacted(self) -> bool:
        return is_compacted(self._kafka, self.topic)

    def range_of(self, partition: int) -> tuple[int, int]:
        """First offset and last stable offset of a partition, half-open."""
        asked = TopicPartition(self.topic, partition)
        first, end = self._answer_of(lambda: self._consumer.get_watermark_offsets(asked, timeout=_REQUEST_SECONDS))
        return first, end

    def _partitions(self) -> list[int]:
        """Return the numbers of the partitions, in order. An error of the topic does not mean that it has none."""

        def ask() -> list[int]:
            description = self._consumer.list_topics(self.topic, timeout=_REQUEST_SECONDS).topics[self.topic]
            if description.error is not None:
                raise KafkaException(description.error)
            return sorted(description.partitions)

        return self._answer_of(ask)

    @staticmethod
    def _answer_of(ask: Callable[[], T]) -> T:
        """Return the answer of the brokers, once no leader is elected any more."""
        deadline = time.monotonic() + _REQUEST_SECONDS
        while True:
            try:
                return ask()
            except KafkaException as error:
                if error.args[0].code() not in _MOVING or time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)


@contextmanager
def open_topic(kafka: KafkaConnection, topic: str) -> Iterator[TopicReader]:
    """Open a topic while the block runs. For the arguments see :class:`TopicReader`.

    Raises:
        ConfigurationError: the topic does not exist, or the brokers refuse (inside the block, too).
        BrokerUnavailable: they do not answer (inside the block, too).
    """
    require_accepted(kafka)
    try:
        log = TopicReader(kafka, topic)
        try:
            yield log
        finally:
            log.close()
    except (KafkaException, AiokafkaError) as error:
        remedy = f"See {kafka.setting('bootstrap.servers')} and `moderation status`."
        raise broker_error(error, f"Kafka at {kafka.bootstrap}", remedy) from error


def is_missing(kafka: KafkaConnection, topic: str) -> bool:
    """Whether a topic does not exist. For the arguments see :class:`TopicReader`.

    Raises:
        ConfigurationError: the brokers refuse.
        BrokerUnavailable: they do not answer.
    """
    require_accepted(kafka)
    quiet = kafka.with_settings({"log_level": _ERRORS_ONLY})
    try:
        return bool(missing_topics(quiet, [topic], timeout_seconds=_REQUEST_SECONDS))
    except KafkaException as error:
        remedy = f"See {kafka.setting('bootstrap.servers')} and `moderation status`."
        raise broker_error(error, f"Kafka at {kafka.bootstrap}", remedy) from error
