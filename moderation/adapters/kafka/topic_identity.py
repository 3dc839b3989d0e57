"""Detect that a topic was re-created: Kafka assigns a new id to it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.topics import require_broker_times, topic_uuid
from moderation.errors import BrokerUnavailable, TopicRefused

_REQUEST_SECONDS = 5.0
_PAUSE_SECONDS = 0.2
_UNKNOWN_SECONDS = 10.0
"""A broker that has just started may not know its topics yet."""
_log = logging.getLogger(__name__)


class TopicIdentity:
    """Reads the id of a topic over a separate connection. Thread-safe.

    Args:
        kafka: the connection.
        topic: full name.
        topic_id: id of the topic when the process began.
        patience_seconds: how long requests are repeated while no broker answers.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        kafka: KafkaConnection,
        topic: str,
        topic_id: UUID,
        patience_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kafka = kafka
        self._client = AdminClient(kafka.librdkafka({"log_level": 2}))
        self._topic = topic
        self._topic_id = topic_id
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._confirmed_at = float("-inf")

    def require(self, fresh_seconds: float = 0.0) -> None:
        """Check that the topic is the same as before.

        Args:
            fresh_seconds: maximum age of an earlier answer that is accepted.

        Raises:
            TopicRefused: the topic has another id, or has been unknown to the broker for ten seconds.
            BrokerUnavailable: no broker answers for ``patience_seconds``.
        """
        with self._lock:
            began = self._clock()
            unknown_since: float | None = None
            while (asked_at := self._clock()) - self._confirmed_at > fresh_seconds:
                answer = self._ask()
                if answer == self._topic_id:
                    self._confirmed_at = asked_at
                    return
                if isinstance(answer, UUID):
                    raise self._refused(f"its id is {answer}, not {self._topic_id}: it was deleted and created again")
                if answer.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    unknown_since = None
                elif unknown_since is None:
                    unknown_since = asked_at
                elif self._clock() - unknown_since > _UNKNOWN_SECONDS:
                    raise self._refused("the broker does not know it any more: it was deleted") from answer
                if self._clock() - began > self._patience_seconds and unknown_since is None:
                    raise BrokerUnavailable(
                        f"topic {self._topic}",
                        f"no broker reports its id: {answer.args[0].str()}",
                        "Check that Kafka runs.",
                    ) from answer
                time.sleep(_PAUSE_SECONDS)

    def require_append_time(self) -> None:
        """Check that brokers set the timestamps of records (LogAppendTime).

        A worker may lack the right to read settings, so a broker that refuses or does not answer is only logged.

        Raises:
            TopicRefused: producers set the timestamps.
        """
        try:
            require_broker_times(self._topic, self._client, _REQUEST_SECONDS)
        except KafkaException as error:
            _log.warning("cannot read the timestamp type of topic %s: %s", self._topic, error.args[0].str())

    def _ask(self) -> UUID | KafkaException:
        futures = self._client.describe_topics(TopicCollection([self._topic]), request_timeout=_REQUEST_SECONDS)
        try:
            return topic_uuid(str(futures[self._topic].result().topic_id))
        except KafkaException as error:
            # See LogEnds: after a restart of the broker a client may stay wrong for minutes.
            self._client = AdminClient(self._kafka.librdkafka({"log_level": 2}))
            return error

    def _refused(self, cause: str) -> TopicRefused:
        return TopicRefused(
            f"topic {self._topic}",
            cause,
            "`moderation accept-gap` shows the decided offsets of the old topic, and adopts the new one.",
        )
