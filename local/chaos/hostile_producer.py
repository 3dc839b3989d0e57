"""A producer of unusual traffic: committed, aborted and open transactions, invalid header names, oversized batches."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator

from aiokafka.errors import KafkaError as AiokafkaError
from confluent_kafka import KafkaException, Message, Producer

from local.chaos.odd_batches import send_one_huge_record, send_with_header_names
from local.oracle import DeliveryReport
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.record_batches import MOST_UNPACKED_BYTES
from moderation.adapters.kafka.topics import COMMENTS
from moderation.contracts import Comment, to_json
from moderation.datasets.synthetic.config import START_US

_PAUSE_SECONDS = 1.0
_OPEN_SECONDS = 4.0
_ODD_EVERY_SECONDS = 20.0
_TIMEOUT_SECONDS = 20.0
_RECORDS = 8
_HEADER_NAME = b"\xff\xfe\x80 is not valid UTF-8 "


class HostileProducer:
    """A producer in a thread of its own, beside the usual traffic. It skips what it cannot send.

    Args:
        kafka: the connection.
        topic_prefix: put before the topic's name.
        seed: of the random choices.
    """

    def __init__(self, kafka: KafkaConnection, topic_prefix: str, seed: int) -> None:
        self._kafka = kafka
        self._topic = topic_prefix + COMMENTS.name
        self._name = f"{topic_prefix}hostile"
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._delivered: list[DeliveryReport] = []
        self._number = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hostile", daemon=True)
        self._failure: BaseException | None = None
        self.done: Counter[str] = Counter()

    def start(self) -> None:
        """Begin sending."""
        self._thread.start()

    def stop(self) -> None:
        """Stop sending; no transaction is open afterwards.

        Raises:
            RuntimeError: the thread ended before.
        """
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise RuntimeError(f"the hostile producer failed: {self._failure}") from self._failure

    def delivered(self) -> Iterator[DeliveryReport]:
        """Return the deliveries that were certainly committed, or sent outside of transactions."""
        return iter(self._delivered)

    def _run(self) -> None:
        try:
            producer: Producer | None = None
            odd_at = time.monotonic()
            while not self._stop.wait(_PAUSE_SECONDS):
                try:
                    if producer is None:
                        producer = self._new_producer()
                    self._transaction(producer)
                    if time.monotonic() - odd_at > _ODD_EVERY_SECONDS:
                        odd_at = time.monotonic()
                        self._send_odd()
                except (KafkaException, AiokafkaError, TimeoutError):
                    # The next producer aborts the open transaction.
                    producer = None
            for _ in range(3):
                try:
                    self._new_producer()
                    return
                except KafkaException:
                    time.sleep(_PAUSE_SECONDS)
        except BaseException as error:
            self._failure = error

    def _new_producer(self) -> Producer:
        own = {
            "transactional.id": self._name,
            "transaction.timeout.ms": round(_TIMEOUT_SECONDS * 1_000),
            "partitioner": "murmur2_random",
            "log_level": 2,
        }
        producer = Producer(self._kafka.librdkafka(own))
        producer.init_transactions(_TIMEOUT_SECONDS)
        return producer

    def _transaction(self, producer: Producer) -> None:
        sent: list[DeliveryReport] = []

        def note(error: object, message: Message) -> None:
            if error is None:
                digest = hashlib.sha256(message.value() or b"").hexdigest()
                sent.append(DeliveryReport(message.partition() or 0, message.offset() or 0, digest))

        producer.begin_transaction()
        for key, value in self._comments(_RECORDS):
            producer.produce(self._topic, value, key=key, on_delivery=note)
        if producer.flush(_TIMEOUT_SECONDS):
            raise TimeoutError("records of a transaction were not acknowledged")
        fate = self._random.choice(("committed", "committed", "aborted", "left open"))
        if fate == "committed":
            producer.commit_transaction(_TIMEOUT_SECONDS)
            self._delivered += sent
        else:
            if fate == "left open":
                self._stop.wait(_OPEN_SECONDS)
            producer.abort_transaction(_TIMEOUT_SECONDS)
        self.done[f"transaction {fate}"] += 1

    def _send_odd(self) -> None:
        records = [(key.encode(), value, _HEADER_NAME) for key, value in self._comments(3)]
        first = send_with_header_names(self._kafka, self._topic, records)
        self._delivered += [
            DeliveryReport(0, first + number, hashlib.sha256(value).hexdigest())
            for number, (_, value, _) in enumerate(records)
        ]
        self.done["odd header names"] += 1
        offset, digest = send_one_huge_record(self._kafka, self._topic, MOST_UNPACKED_BYTES + 1_000)
        self._delivered.append(DeliveryReport(0, offset, digest))
        self.done["huge batch"] += 1

    def _comments(self, count: int) -> list[tuple[str, bytes]]:
        # Their event time is the start of the usual traffic, so most of them are late.
        made = []
        for _ in range(count):
            self._number += 1
            comment_id = f"hostile{self._number}"
            made.append((comment_id, to_json(Comment(comment_id, "science", "Sent otherwise.", START_US))))
        return made
