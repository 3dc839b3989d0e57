"""The source topic, looked at from outside a worker: which topic it is, what it still holds, one record of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from moderation.adapters.topics import describe_topic_ids, topic_uuid
from moderation.errors import ConfigurationError

_REQUEST_SECONDS = 30.0
_GONE = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._PARTITION_EOF)


class SourceLog:
    """A look at one topic. It takes part in no group and commits nothing.

    Args:
        bootstrap: Kafka's addresses.
        topic: full name.

    Attributes:
        topic_id: Kafka's id of the topic as it is now.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.topic = topic
        self.topic_id: UUID = topic_uuid(describe_topic_ids(bootstrap, [topic])[topic])
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "moderation-looking",
                "enable.auto.commit": False,
                # An offset that is gone must be told, not replaced by the nearest that is left.
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "queued.min.messages": 1,
                "log_level": 4,
            }
        )

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def ranges(self) -> dict[int, tuple[int, int]]:
        """For each partition the first offset it still has and its end, half-open."""
        partitions = self._consumer.list_topics(self.topic, timeout=_REQUEST_SECONDS).topics[self.topic].partitions
        return {partition: self._range(partition) for partition in sorted(partitions)}

    def value_at(self, partition: int, offset: int) -> bytes | None:
        """The value of one record; None if the topic does not have it any more."""
        first, end = self._range(partition)
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
        return message.value() or b""

    def _range(self, partition: int) -> tuple[int, int]:
        first, end = self._consumer.get_watermark_offsets(
            TopicPartition(self.topic, partition), timeout=_REQUEST_SECONDS
        )
        return first, end


@contextmanager
def opened(bootstrap: str, topic: str) -> Iterator[SourceLog]:
    """Look at a topic; the connection ends with the block.

    Raises:
        ConfigurationError: the topic does not exist, or Kafka does not answer (inside the block, too).
    """
    try:
        log = SourceLog(bootstrap, topic)
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
