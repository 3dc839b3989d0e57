"""A topic looked at from outside a worker: which topic it is, what it still holds, one record or a range of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka.errors import KafkaError as AiokafkaError
from aiokafka.errors import OffsetOutOfRangeError
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from moderation.adapters.kafka.batch_unpacker import HoleRecord
from moderation.adapters.kafka.committed_reader import CommittedReader
from moderation.adapters.kafka.end_offsets import written_ends
from moderation.adapters.kafka.topics import (
    describe_topic_ids,
    is_compacted,
    require_broker_times,
    retention,
    topic_uuid,
)
from moderation.contracts import Hole, HoleKind, clipped, without_compaction
from moderation.errors import ConfigurationError, TopicRefused

_REQUEST_SECONDS = 30.0
_POLL_SECONDS = 0.05
# The partition's leader moves, or was only just chosen; over in moments.
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
    """One record as the log has it.

    Attributes:
        offset: its place in the partition.
        append_us: the broker's append time, microseconds since the epoch.
        key: its key; None if it has none.
        value: its bytes, untouched; None if it has none.
        headers: names and values, in their order; a name may occur more than once. Bytes of a name that are not UTF-8
            are written as ``\\xNN``.
        has_append_time: whether ``append_us`` is the broker's; else a producer set it, for the topic allowed that.
    """

    offset: int
    append_us: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    has_append_time: bool = True


class TopicReader:
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
        self._bootstrap = bootstrap
        given = dict(configuration or {})
        # A consumer's settings mean nothing to the administration client, which would say so about each.
        self._quiet = quiet = given | {"log_level": _ERRORS_ONLY}
        self.topic_id: UUID = topic_uuid(describe_topic_ids(bootstrap, [topic], configuration=quiet)[topic])
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "moderation-looking",
                "log_level": 4,
                **given,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        self._reader = CommittedReader(bootstrap, topic, given)

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()
        self._consumer.close()

    def ranges(self) -> dict[int, tuple[int, int]]:
        """For each partition the first offset it still has and its last stable offset, half-open."""
        partitions = self._consumer.list_topics(self.topic, timeout=_REQUEST_SECONDS).topics[self.topic].partitions
        return {partition: self.range_of(partition) for partition in sorted(partitions)}

    def written_ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """The log ends of partitions; unlike last stable offsets, they include transactions that are still open."""
        return written_ends(
            self._bootstrap,
            self.topic,
            partitions,
            configuration=self._quiet,
            timeout_seconds=_REQUEST_SECONDS,
        )

    def retention_ms(self) -> int | None:
        """How long after their append the brokers may delete records, in milliseconds.

        None for never, and, with a warning, where the brokers refuse to tell: reading needs no right to settings.
        """
        try:
            return retention(self._bootstrap, self.topic, configuration=self._quiet).ms
        except KafkaException as error:
            _log.warning("the retention of topic %s is not known: %s", self.topic, error.args[0].str())
            return None

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
        found = next(self._reader.read(partition, offset, offset + 1))
        return None if isinstance(found, HoleRecord) else (found.value or b"", found.timestamp * 1_000)

    def records(self, partition: int, first: int, end: int) -> Iterator[LogRecord | Hole]:
        """Read the offsets [first, end), every one of them, in order: as a record or inside a hole.

        The end must not lie beyond the last stable offset.

        Raises:
            TopicRefused: retention took offsets of the range meanwhile; named with topic, partition and range.
            BrokerUnavailable: the brokers are silent for a minute.
            aiokafka.errors.KafkaError: they refuse.
        """
        if first >= end:
            return
        try:
            for found in self._reader.read(partition, first, end):
                if isinstance(found, HoleRecord):
                    if (hole := clipped(found.hole, first, end)) is not None:
                        is_deleted = hole.kind is HoleKind.DELETED
                        yield without_compaction(hole) if is_deleted and not self._is_compacted() else hole
                elif found.offset < end:
                    yield self._record(found)
        except OffsetOutOfRangeError as error:
            start, _ = self.range_of(partition)
            raise TopicRefused(
                f"topic {self.topic} partition {partition}",
                f"offsets [{first}, {start}) are gone: retention overtook whoever reads them",
                "Try again; what is to be done is named then.",
            ) from error

    def _record(self, found: Any) -> LogRecord:
        is_brokers = found.timestamp_type == _LOG_APPEND_TIME
        return LogRecord(found.offset, found.timestamp * 1_000, found.key, found.value, list(found.headers), is_brokers)

    def require_append_time(self) -> None:
        """Return if records of the topic get the broker's time when they are appended, or the brokers refuse to tell.

        Raises:
            TopicRefused: producers set the times.
        """
        try:
            client = AdminClient({"bootstrap.servers": self._bootstrap, **self._quiet})
            require_broker_times(self.topic, client)
        except KafkaException as error:
            _log.warning("whose time records of topic %s get is not known: %s", self.topic, error.args[0].str())

    def _is_compacted(self) -> bool:
        return is_compacted(self._bootstrap, self.topic, configuration=self._quiet)

    def range_of(self, partition: int) -> tuple[int, int]:
        """The first offset a partition still has and its last stable offset, half-open."""
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


@contextmanager
def open_topic(bootstrap: str, topic: str, configuration: Mapping[str, Any] | None = None) -> Iterator[TopicReader]:
    """Look at a topic; the connection ends with the block. For the arguments see :class:`TopicReader`.

    Raises:
        ConfigurationError: the topic does not exist, or Kafka does not answer (inside the block, too).
    """
    try:
        log = TopicReader(bootstrap, topic, configuration)
        try:
            yield log
        finally:
            log.close()
    except (KafkaException, AiokafkaError) as error:
        cause = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        raise ConfigurationError(
            f"Kafka at {bootstrap}", cause.rstrip("."), "See MODERATION_KAFKA_BOOTSTRAP and `moderation status`."
        ) from error
