"""Produce a steady stream of comments, some late, doubled, edited, broken or future-dated; record all deliveries."""

from __future__ import annotations

import hashlib
import threading
import time
from array import array
from collections.abc import Iterator

from confluent_kafka import KafkaError, Message, Producer

from local.oracle import DeliveryReport
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.topics import COMMENTS, producer_settings
from moderation.contracts import Comment, to_json
from moderation.datasets.synthetic import TrafficConfig, generate
from moderation.timestamps import now_us

_DELIVERY_SECONDS = 300
_FUTURE_EVERY = 500
_TICK_SECONDS = 0.05
_CLOSE_SECONDS = 120.0


class TrafficProducer:
    """A producer in a thread of its own.

    Args:
        kafka: the connection.
        topic_prefix: put before the topic's name.
        per_second: records sent a second; after an outage of the broker the delay is made up.
        seed: of the comments.
    """

    def __init__(self, kafka: KafkaConnection, topic_prefix: str, per_second: float, seed: int) -> None:
        self._topic = topic_prefix + COMMENTS.name
        self._per_second = per_second
        self._seed = seed
        # Reconnect every second after the broker was killed; do not log its absence.
        quiet = {"reconnect.backoff.max.ms": 1_000, "log_level": 2}
        self._producer = Producer({**producer_settings(kafka, _DELIVERY_SECONDS), **quiet})
        self._positions = array("q")
        self._digests = bytearray()
        self._failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self.sent = 0

    def start(self) -> None:
        """Begin sending."""
        self._thread.start()

    def stop(self) -> None:
        """Stop sending and wait for every acknowledgement.

        Raises:
            RuntimeError: a record was not acknowledged.
        """
        self._stop.set()
        self._thread.join()
        if self._producer.flush(_CLOSE_SECONDS):
            raise RuntimeError(f"the broker did not acknowledge every record within {_CLOSE_SECONDS} s")
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise an error if the thread failed."""
        if self._failure is not None:
            raise RuntimeError(f"the traffic failed: {self._failure}") from self._failure

    def delivered(self) -> Iterator[DeliveryReport]:
        """Return the deliveries that were acknowledged so far."""
        for number in range(len(self._positions) // 2):
            sha256 = bytes(self._digests[32 * number : 32 * number + 32]).hex()
            yield DeliveryReport(self._positions[2 * number], self._positions[2 * number + 1], sha256)

    def _run(self) -> None:
        try:
            began = time.monotonic()
            for key, value in self._records():
                while self.sent >= (time.monotonic() - began) * self._per_second:
                    self._producer.poll(_TICK_SECONDS)
                    if self._stop.is_set():
                        return
                self._send(key, value)
                if self._failure is not None or self._stop.is_set():
                    return
        except BaseException as error:
            self._failure = error

    def _records(self) -> Iterator[tuple[str, bytes]]:
        # Twenty thousand comments a day at 400 a second: a pane closes every few records, a day passes within a minute.
        config = TrafficConfig(
            seed=self._seed,
            days=200,
            comments_per_day=20_000,
            late_share=0.01,
            duplicate_share=0.01,
            edit_share=0.01,
            broken_share=0.01,
        )
        for number, arrival in enumerate(generate(config)):
            if arrival.topic == COMMENTS.name:
                yield arrival.key, arrival.value
            if number % _FUTURE_EVERY == 0:
                ahead_us = now_us() + 3_600_000_000
                yield f"ahead{number}", to_json(Comment(f"ahead{number}", "science", "from tomorrow", ahead_us))

    def _send(self, key: str, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._topic, value, key=key, on_delivery=self._answered)
                self.sent += 1
                return
            except BufferError:
                self._producer.poll(_TICK_SECONDS)

    def _answered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failure = self._failure or RuntimeError(str(error))
            return
        self._positions.extend((message.partition() or 0, message.offset() or 0))
        self._digests += hashlib.sha256(message.value() or b"").digest()
