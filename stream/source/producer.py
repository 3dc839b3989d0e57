"""Producer of the source: idempotent, acknowledged by all replicas, partitioned with murmur2 like all others here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from moderation.adapters.kafka.broker_errors import AUTHORIZATION, broker_error
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.topics import producer_settings
from moderation.timestamps import now_us

_DELIVERY_SECONDS = 120
_POLL_EVERY = 500
_FULL_SECONDS = 0.05
_log = logging.getLogger(__name__)


class Acknowledged:
    """Acknowledgement of one record.

    Attributes:
        partition, offset: position of the record.
        sent_us: when the producer got it, microseconds since the epoch.
        acknowledged_us: when the acknowledgement arrived, microseconds since the epoch.
    """

    __slots__ = ("acknowledged_us", "offset", "partition", "sent_us")

    def __init__(self) -> None:
        self.partition = self.offset = -1
        self.sent_us = now_us()
        self.acknowledged_us = 0


class BatchProducer:
    """Sends batches and waits for every acknowledgement.

    Args:
        kafka: the connection.
    """

    def __init__(self, kafka: KafkaConnection) -> None:
        self._error: KafkaError | None = None
        self._producer = Producer(producer_settings(kafka, _DELIVERY_SECONDS), logger=_log)

    def send(self, topic: str, records: Sequence[tuple[bytes, bytes]]) -> list[Acknowledged]:
        """Send records in order and wait until the broker has all of them.

        Args:
            topic: full name of the topic.
            records: keys and values.

        Returns:
            An acknowledgement for each record.

        Raises:
            KafkaException: a record was not acknowledged within two minutes, or was refused. Others of the batch may
                have arrived.
            ConfigurationError: the principal may not write to the topic.
        """
        answers = []
        for key, value in records:
            answer = Acknowledged()
            self._hand_over(topic, key, value, answer)
            answers.append(answer)
            if len(answers) % _POLL_EVERY == 0:
                self._producer.poll(0)
        # Every record gets an acknowledgement or an error within its delivery timeout, so this loop ends.
        while self._producer.flush(1.0) and self._error is None:
            pass
        self._raise_error()
        return answers

    def close(self) -> None:
        """Drop unacknowledged records and disconnect."""
        self._producer.purge()
        self._producer.flush(1.0)

    def _hand_over(self, topic: str, key: bytes, value: bytes, answer: Acknowledged) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key=key, on_delivery=partial(self._answered, answer))
                return
            except BufferError:
                self._producer.poll(_FULL_SECONDS)
                self._raise_error()

    def _answered(self, answer: Acknowledged, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._error = self._error or error
            return
        answer.partition = int(message.partition() or 0)
        answer.offset = int(message.offset() or 0)
        answer.acknowledged_us = now_us()

    def _raise_error(self) -> None:
        if self._error is not None:
            if self._error.code() in AUTHORIZATION:
                raise broker_error(self._error, "the topics of the source", "")
            raise KafkaException(self._error)
