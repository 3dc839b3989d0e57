"""An idempotent producer for commands: it sends records to one topic and waits until the brokers have all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from moderation.adapters.kafka.topics import producer_settings
from moderation.errors import ConfigurationError

Headers = Sequence[tuple[str, str | bytes | None]]
_DELIVERY_SECONDS = 120
_FULL_SECONDS = 0.05
_log = logging.getLogger(__name__)


class AcknowledgedSender:
    """Sends each record to the partition that every other producer of ours chooses for its key.

    Args:
        bootstrap: Kafka's addresses.
        topic: full name of the topic.
        records: what the records are, in the plural, for messages.
        remedy: what to do after an error, for messages.
    """

    def __init__(self, bootstrap: str, topic: str, records: str, remedy: str) -> None:
        self._topic = topic
        self._records = records
        self._remedy = remedy
        self._handed_over = self._acknowledged = 0
        self._error: KafkaError | None = None
        self._producer = Producer(producer_settings(bootstrap, _DELIVERY_SECONDS), logger=_log)

    def send(self, key: bytes, value: bytes, headers: Headers) -> None:
        """Hand one record over.

        Raises:
            ConfigurationError: an earlier one was refused, or the topic does not exist.
        """
        while True:
            self._raise_error()
            try:
                self._producer.produce(
                    self._topic, value, key=key, headers=list(headers), on_delivery=self._note_answer
                )
                break
            except BufferError:
                self._producer.poll(_FULL_SECONDS)
            except KafkaException as error:
                self._error = error.args[0]
        self._handed_over += 1
        self._producer.poll(0)

    def wait(self) -> None:
        """Wait until the brokers have everything that was handed over.

        Raises:
            ConfigurationError: a record was refused, or not acknowledged within two minutes.
        """
        # Every record ends in an answer or an error within its delivery timeout, so this ends.
        while self._producer.flush(1.0) and self._error is None:
            pass
        self._raise_error()

    def close(self) -> None:
        """Give up what was not acknowledged and disconnect."""
        self._producer.purge()
        self._producer.flush(1.0)

    def _note_answer(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._error = self._error or error
        else:
            self._acknowledged += 1

    def _raise_error(self) -> None:
        if self._error is not None:
            sent = f"{self._acknowledged} of {self._handed_over} {self._records} are acknowledged"
            raise ConfigurationError(
                f"topic {self._topic}", f"{self._error.str().rstrip('.')}; {sent}", self._remedy
            ) from KafkaException(self._error)


@contextmanager
def acknowledged_sender(bootstrap: str, topic: str, records: str, remedy: str) -> Iterator[AcknowledgedSender]:
    """A sender whose records are all acknowledged when the block ends without an error."""
    sender = AcknowledgedSender(bootstrap, topic, records, remedy)
    try:
        yield sender
        sender.wait()
    finally:
        sender.close()
