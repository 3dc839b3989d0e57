"""Send decisions, alerts and closed panes to their topics and wait for the acknowledgements."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from moderation.adapters.kafka.broker_errors import AUTHORIZATION, broker_error
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.published_records import (
    alert_value,
    decision_fields,
    decision_key,
    decision_value,
    pane_key,
    pane_value,
)
from moderation.adapters.kafka.topics import ALERTS, DECISIONS, PANES, missing_topics, producer_settings
from moderation.contracts import Verdict
from moderation.errors import PublishingFailed, TopicsMissing
from moderation.ledger import DecisionRow, Versions
from stream.worker.messages import Encoded, Publication

DELIVERY_SECONDS = 30.0
_POLL_SECONDS = 0.05
_LOOK_SECONDS = 2.0
"""If acknowledgements take longer than this, the publisher checks that the topics exist."""
_ABSENT = (KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART)


def encode_decision(topic: str, topic_id: str, row: DecisionRow, versions: Versions) -> Encoded:
    """Serialize a decision for the topics; needs no broker.

    Args:
        topic: full name of the source topic.
        topic_id: id of the source topic.
        row: row of the ledger.
        versions: versions that decided it.
    """
    fields = decision_fields(topic, topic_id, row, versions)
    alert = None if row.verdict is Verdict.ALLOW else alert_value(fields, row)
    return Encoded(decision_key(row), decision_value(fields), alert)


class Publisher:
    """Sends with an idempotent producer; Faust's producer may lose or repeat records. Used by one thread at a time.

    Args:
        kafka: the connection.
        topic_prefix: prefix of the topic names.
        topic: full name of the source topic.
        topic_id: id of the source topic.
        midway: called when the first half of a batch is sent; a fault point of chaos runs.
    """

    def __init__(
        self, kafka: KafkaConnection, topic_prefix: str, topic: str, topic_id: UUID, midway: Callable[[], None]
    ) -> None:
        self._kafka = kafka
        self._decisions = topic_prefix + DECISIONS.name
        self._alerts = topic_prefix + ALERTS.name
        self._panes = topic_prefix + PANES.name
        self._topic = topic
        self._topic_id = str(topic_id)
        self._midway = midway
        self._failure: tuple[KafkaError, str] | None = None
        self._producer = self._new_producer()

    def encode(self, row: DecisionRow, versions: Versions) -> Encoded:
        """Serialize a decision for the topics. May be called by any thread."""
        return encode_decision(self._topic, self._topic_id, row, versions)

    def publish(self, publication: Publication) -> int:
        """Send decisions, alerts and panes, and wait until the brokers have all of them.

        Returns:
            How many records were sent.

        Raises:
            TopicsMissing: a topic does not exist; records for other topics may or may not have arrived.
            PublishingFailed: a record was not accepted; the ledger still has it for another try.
        ConfigurationError: the worker's principal may not write to a topic.
        """
        sent = 0
        halfway = (len(publication.decisions) + len(publication.panes)) // 2
        for topic, value, key in self._records(publication):
            self._send(topic, value, key)
            if sent == halfway:
                self._midway()
            sent += 1
        self._wait()
        return sent

    def missing_topics(self) -> list[str]:
        """Return the missing topics.

        Raises:
            KafkaException: no broker answers.
        """
        return missing_topics(self._kafka, (self._decisions, self._alerts, self._panes))

    def _wait(self) -> None:
        deadline = time.monotonic() + 2 * DELIVERY_SECONDS
        while left := self._producer.flush(_LOOK_SECONDS):
            self._require_topics()
            if time.monotonic() > deadline:
                raise PublishingFailed("the topics of decisions", f"{left} records wait for an acknowledgement")
        if self._failure is not None:
            error, topic = self._failure
            self._require_topics()
            self._refuse(error, topic)

    def _require_topics(self) -> None:
        try:
            missing = self.missing_topics()
        except KafkaException:
            return  # without a broker nothing is known about topics; the deadline decides
        if missing:
            self._give_up()
            raise TopicsMissing(missing)

    def _refuse(self, error: KafkaError, topic: str) -> None:
        if error.code() in _ABSENT:
            # The topic was missing when the record was sent; it may exist again now.
            self._give_up()
            raise TopicsMissing([topic])
        if error.code() in AUTHORIZATION:
            raise broker_error(error, f"topic {topic}", "")
        raise PublishingFailed(f"topic {topic}", str(error))

    def _give_up(self) -> None:
        """Drop the records that wait for a missing topic, and the producer's state of it."""
        self._producer.purge()
        self._producer.flush(0)
        self._producer, self._failure = self._new_producer(), None

    def _send(self, topic: str, value: bytes, key: bytes) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key)
                return
            except BufferError:
                self._producer.poll(_POLL_SECONDS)
                if self._failure is not None:
                    self._refuse(*self._failure)
            except KafkaException as error:
                self._refuse(error.args[0], topic)

    def _records(self, publication: Publication) -> Iterator[tuple[str, bytes, bytes]]:
        for encoded in publication.encoded or (self.encode(row, versions) for row, versions in publication.decisions):
            yield self._decisions, encoded.decision, encoded.key
            if encoded.alert is not None:
                yield self._alerts, encoded.alert, encoded.key
        for pane in publication.panes:
            yield self._panes, pane_value(pane), pane_key(pane)

    def _new_producer(self) -> Producer:
        # Successes need no callback: if flush empties the queue without a failure, every record was accepted.
        settings: dict[str, Any] = {
            **producer_settings(self._kafka, DELIVERY_SECONDS),
            "delivery.report.only.error": True,
        }
        return Producer({**settings, "linger.ms": 5, "on_delivery": self._note})

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._failure is None:
            self._failure = error, message.topic() or ""
