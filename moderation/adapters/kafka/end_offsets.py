"""Where the partitions of a topic end, asked over a connection of its own.

A partition has two ends. The last stable offset is the readable one: the records after it belong to a transaction that
is still open. The log end is the written one, after all records.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

_REQUEST_SECONDS = 3.0
_log = logging.getLogger(__name__)


def ends_of(
    client: AdminClient,
    topic: str,
    partitions: Iterable[int],
    level: IsolationLevel,
    timeout_seconds: float = _REQUEST_SECONDS,
) -> dict[int, int]:
    """The end of each partition: the last stable offset for ``READ_COMMITTED``, else the log end.

    Raises:
        KafkaException: the broker cannot be reached or refuses.
    """
    wanted: Any = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in partitions}  # type: ignore[no-untyped-call]
    if not wanted:
        return {}
    futures = client.list_offsets(wanted, isolation_level=level, request_timeout=timeout_seconds)
    return {place.partition: int(future.result().offset) for place, future in futures.items()}


def log_starts(client: AdminClient, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """The first offset that each partition still has.

    Raises:
        KafkaException: the broker cannot be reached or refuses.
    """
    wanted: Any = {TopicPartition(topic, partition): OffsetSpec.earliest() for partition in partitions}  # type: ignore[no-untyped-call]
    futures = client.list_offsets(wanted, request_timeout=_REQUEST_SECONDS)
    return {place.partition: int(future.result().offset) for place, future in futures.items()}


def written_ends(
    bootstrap: str,
    topic: str,
    partitions: Iterable[int],
    *,
    configuration: Mapping[str, Any] | None = None,
    timeout_seconds: float = _REQUEST_SECONDS,
) -> dict[int, int]:
    """The log end of each partition, open transactions included.

    Args:
        bootstrap: addresses of brokers.
        topic: full name.
        partitions: which ones.
        configuration: further settings of the client.
        timeout_seconds: for connecting and asking.

    Raises:
        KafkaException: the broker cannot be reached or refuses.
    """
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2, **(configuration or {})})
    return ends_of(client, topic, partitions, IsolationLevel.READ_UNCOMMITTED, timeout_seconds)


class LogEnds:
    """Asks a broker, and says so when it does not answer.

    Args:
        bootstrap: addresses of brokers.
        topic: full name.
        level: which end is asked for.
    """

    def __init__(self, bootstrap: str, topic: str, level: IsolationLevel = IsolationLevel.READ_COMMITTED) -> None:
        self._client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
        self._topic = topic
        self._level = level
        self._away = False

    def ask(self, partitions: Iterable[int]) -> dict[int, int] | None:
        """The end of each partition, see :func:`ends_of`; None when no broker answers within 3 s."""
        try:
            found = ends_of(self._client, self._topic, partitions, self._level)
        except KafkaException as error:
            if not self._away:
                _log.warning("cannot ask where topic %s ends: %s", self._topic, error)
            self._away = True
            return None
        self._away = False
        return found
