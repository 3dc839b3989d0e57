"""Where the partitions of a topic end, asked over a connection of its own.

The end is the last stable offset: what comes behind it belongs to a transaction that is still open.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

_REQUEST_SECONDS = 3.0
_log = logging.getLogger(__name__)


class LogEnds:
    """Asks a broker, and says so when it does not answer.

    Args:
        bootstrap: addresses of brokers.
        topic: full name.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
        self._topic = topic
        self._away = False

    def ask(self, partitions: Iterable[int]) -> dict[int, int] | None:
        """First offset not yet readable, by partition; None when no broker answers within 3 s."""
        wanted = {TopicPartition(self._topic, partition): OffsetSpec.latest() for partition in partitions}  # type: ignore[no-untyped-call]
        if not wanted:
            return {}
        try:
            futures = self._client.list_offsets(
                wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_REQUEST_SECONDS
            )
            found = {place.partition: int(future.result().offset) for place, future in futures.items()}
        except KafkaException as error:
            if not self._away:
                _log.warning("cannot ask where topic %s ends: %s", self._topic, error)
            self._away = True
            return None
        self._away = False
        return found
