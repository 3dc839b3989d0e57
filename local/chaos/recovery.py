"""Measure the time to catch up after a fault, and to decide with another version after an alias move."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Any

import psycopg

from local.oracle import log_ranges
from moderation.adapters.kafka.connection import KafkaConnection

_POLL_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 400.0


class RecoveryTimer:
    """Measures by queries of the ledger, over connections that may break at any time.

    Args:
        kafka: the connection.
        topic: full name of the source topic.
        database_url: libpq URL of the ledger.
        topic_id: the source topic's id, a UUID.
    """

    def __init__(self, kafka: KafkaConnection, topic: str, database_url: str, topic_id: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._url = database_url
        self._topic_id = topic_id
        self._threads: list[threading.Thread] = []
        self.recover_seconds: list[float] = []
        self.never_recovered = 0

    def log_ends(self) -> dict[int, int]:
        """Return the present end of every partition."""
        return {partition: end for partition, (_, end) in log_ranges(self._kafka, self._topic).items()}

    def time_recovery(self, ends: Mapping[int, int]) -> None:
        """Measure in a thread the time until the ledger accounts for all offsets up to these ends."""

        def wait() -> None:
            if (seconds := self.seconds_until(ends, _LONGEST_WAIT_SECONDS)) is None:
                self.never_recovered += 1
            else:
                self.recover_seconds.append(seconds)

        self._threads.append(threading.Thread(target=wait, name="recovery", daemon=True))
        self._threads[-1].start()

    def join(self) -> None:
        """Wait for every measurement."""
        for thread in self._threads:
            thread.join()

    def seconds_until(self, ends: Mapping[int, int], seconds: float, *, published: bool = False) -> float | None:
        """Wait until the ledger accounts for all offsets up to these ends, or until they are published.

        Returns:
            Seconds waited; None if it took longer than ``seconds``.
        """
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            with contextlib.suppress(psycopg.Error):
                rows = self._ask("SELECT partition, next, published_next FROM speed.source_offsets WHERE topic_id = %s")
                reached = {row[0]: row[2 if published else 1] for row in rows}
                if all(reached.get(partition, 0) >= end for partition, end in ends.items()):
                    return time.monotonic() - began
            time.sleep(4 * _POLL_SECONDS)
        return None

    def served(self, version: str) -> int:
        """Return the number of positions at which a version began to serve."""
        rows = self._ask("SELECT model_version, count(*) FROM speed.served WHERE topic_id = %s GROUP BY 1")
        return next((int(count) for name, count in rows if name == version), 0)

    def quarantined(self) -> int:
        """Return the number of records that could not be decided or stored."""
        query = "SELECT count(*) FROM speed.dead_letters WHERE topic_id = %s AND reason = 'processing_failed'"
        return int(self._ask(query)[0][0])

    def seconds_until_served(self, version: str, more_than: int, seconds: float) -> float | None:
        """Wait until a version began to serve at more positions than before; returns None if it took longer."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if self.served(version) > more_than:
                return time.monotonic() - began
            time.sleep(_POLL_SECONDS)
        return None

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url, connect_timeout=5) as connection:
            return connection.execute(query, (self._topic_id,)).fetchall()
