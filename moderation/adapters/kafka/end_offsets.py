"""Read start and end offsets of partitions over a separate connection.

A partition has two ends. The last stable offset is the end of readable records: the records after it belong to an open
transaction. The log end is the end of all written records.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from moderation.adapters.kafka.connection import KafkaConnection

_REQUEST_SECONDS = 3.0
_log = logging.getLogger(__name__)


def ends_of(
    client: AdminClient,
    topic: str,
    partitions: Iterable[int],
    level: IsolationLevel,
    timeout_seconds: float = _REQUEST_SECONDS,
) -> dict[int, int]:
    """Read the end of each partition: the last stable offset for ``READ_COMMITTED``, else the log end.

    Raises:
        KafkaException: the broker cannot be reached or refuses.
    """
    wanted: Any = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in partitions}  # type: ignore[no-untyped-call]
    if not wanted:
        return {}
    futures = client.list_offsets(wanted, isolation_level=level, request_timeout=timeout_seconds)
    return {each.partition: int(future.result().offset) for each, future in futures.items()}


def log_starts(client: AdminClient, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """Read the first offset of each partition.

    Raises:
        KafkaException: the broker cannot be reached or refuses.
    """
    wanted: Any = {TopicPartition(topic, partition): OffsetSpec.earliest() for partition in partitions}  # type: ignore[no-untyped-call]
    futures = client.list_offsets(wanted, request_timeout=_REQUEST_SECONDS)
    return {each.partition: int(future.result().offset) for each, future in futures.items()}


def written_ends(
    kafka: KafkaConnection,
    topic: str,
    partitions: Iterable[int],
    *,
    timeout_seconds: float = _REQUEST_SECONDS,
) -> dict[int, int]:
    """Read the log end of each partition, including open transactions.

    Args:
        kafka: the connection.
        topic: full name.
        partitions: which ones.
        timeout_seconds: timeout of connection and request.

    Raises:
        KafkaException: the broker cannot be reached or refuses.
    """
    client = _client_of(kafka, topic, timeout_seconds)
    return ends_of(client, topic, partitions, IsolationLevel.READ_UNCOMMITTED, timeout_seconds)


def _client_of(kafka: KafkaConnection, topic: str, timeout_seconds: float) -> AdminClient:
    """Create a client that knows the leaders of a topic.

    A new client that is asked for offsets first misses the answer with the leaders now and then, and then waits for 3 s
    (librdkafka 2.16; tests/integration/test_broker_restart.py).
    """
    client = AdminClient(kafka.librdkafka({"log_level": 2}))
    client.list_topics(topic, timeout=timeout_seconds)
    return client


class LogEnds:
    """Reads the ends of the partitions of a topic; logs a warning once while no broker answers.

    After a failure it uses a new client: librdkafka may keep for minutes that the partitions of a broker that restarted
    have no leader.

    Args:
        kafka: the connection.
        topic: full name.
        level: which end is read.
    """

    def __init__(
        self, kafka: KafkaConnection, topic: str, level: IsolationLevel = IsolationLevel.READ_COMMITTED
    ) -> None:
        self._kafka = kafka
        self._client: AdminClient | None = None
        self._topic = topic
        self._level = level
        self._has_failed = False

    def ask(self, partitions: Iterable[int]) -> dict[int, int] | None:
        """Read the end of each partition, see :func:`ends_of`; None if a request gets no answer within 3 s."""
        try:
            if self._client is None:
                self._client = _client_of(self._kafka, self._topic, _REQUEST_SECONDS)
            ends = ends_of(self._client, self._topic, partitions, self._level)
        except KafkaException as error:
            self._client = None
            if not self._has_failed:
                _log.warning("cannot read the end offsets of topic %s: %s", self._topic, error)
            self._has_failed = True
            return None
        self._has_failed = False
        return ends
