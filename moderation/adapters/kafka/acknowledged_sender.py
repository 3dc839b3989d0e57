"""An idempotent producer for commands that waits for the acknowledgement of every record."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from moderation.adapters.kafka.access import require_accepted
from moderation.adapters.kafka.broker_errors import broker_error
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.topics import producer_settings

Headers = Sequence[tuple[str, str | bytes | None]]
_DELIVERY_SECONDS = 120
_FULL_SECONDS = 0.05
_log = logging.getLogger(__name__)


class AcknowledgedSender:
    """Sends records to one topic; a key maps to the same partition as in every other producer of this project.

    Args:
        kafka: the connection.
        topic: full name of the topic.
        records: name of the records, in the plural, for messages.
        remedy: what to do after an error, for messages.
    """

    def __init__(self, kafka: KafkaConnection, topic: str, records: str, remedy: str) -> None:
        self._topic = topic
        self._records = records
        self._remedy = remedy
        self._enqueued = self._acknowledged = 0
        self._error: KafkaError | None = None
        self._producer = Producer(producer_settings(kafka, _DELIVERY_SECONDS), logger=_log)

    def send(self, key: bytes, value: bytes, headers: Headers) -> None:
        """Enqueue a record.

        Raises:
            ConfigurationError: an earlier record was refused, or the topic does not exist.
        """
        while True:
            self._raise_error()
            try:
                self._producer.produce(
                    self._topic, value, key=key, headers=list(headers), on_delivery=self._on_delivery
                )
                break
            except BufferError:
                self._producer.poll(_FULL_SECONDS)
            except KafkaException as error:
                self._error = error.args[0]
        self._enqueued += 1
        self._producer.poll(0)

    def wait(self) -> None:
        """Wait until the brokers have acknowledged every record.

        Raises:
            ConfigurationError: a record was refused.
            BrokerUnavailable: a record was not acknowledged within two minutes.
        """
        # Every record is acknowledged or fails within its delivery timeout, so this loop ends.
        while self._producer.flush(1.0) and self._error is None:
            pass
        self._raise_error()

    def close(self) -> None:
        """Discard unacknowledged records and disconnect."""
        self._producer.purge()
        self._producer.flush(1.0)

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._error = self._error or error
        else:
            self._acknowledged += 1

    def _raise_error(self) -> None:
        if self._error is not None:
            sent = f"; {self._acknowledged} of {self._enqueued} {self._records} are acknowledged"
            cause = KafkaException(self._error)
            raise broker_error(self._error, f"topic {self._topic}", self._remedy, detail=sent) from cause


@contextmanager
def acknowledged_sender(kafka: KafkaConnection, topic: str, records: str, remedy: str) -> Iterator[AcknowledgedSender]:
    """Yield a sender; when the block ends without an error, all its records are acknowledged."""
    require_accepted(kafka)
    sender = AcknowledgedSender(kafka, topic, records, remedy)
    try:
        yield sender
        sender.wait()
    finally:
        sender.close()
