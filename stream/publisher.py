"""Decisions, alerts and closed panes on their topics: pure functions of ledger rows, safe to send again.

Decisions and alerts are keyed by comment_id, panes by what tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from moderation.adapters.sql.batch import DecisionRow, Stamp
from moderation.adapters.topics import ALERTS, DECISIONS, PANES, producer_settings
from moderation.contracts import SCHEMA_VERSION, Pane, Verdict
from moderation.errors import PublishingFailed
from stream.records import Encoded, Published

DELIVERY_SECONDS = 30.0
_POLL_SECONDS = 0.05


def decision_fields(topic: str, topic_id: str, row: DecisionRow, stamp: Stamp) -> dict[str, object]:
    """The fields of ``contracts.Decision``, in its order. Here without the object: this runs once per comment."""
    return {
        "topic": topic,
        "topic_id": topic_id,
        "partition": row.partition,
        "offset": row.offset,
        "comment_id": row.comment_id,
        "community": row.community,
        "event_time_us": row.event_time_us,
        "score_ppm": row.score_ppm,
        "verdict": row.verdict,
        "model_version": stamp.model_version,
        "policy_version": stamp.policy_version,
        "fate": row.fate,
        "repairs": row.repairs,
        "schema_version": SCHEMA_VERSION,
    }


def encode_decision(topic: str, topic_id: str, row: DecisionRow, stamp: Stamp) -> Encoded:
    """What a decision becomes on the topics; needs no broker.

    Args:
        topic: full name of the source topic.
        topic_id: its id.
        row: of the ledger.
        stamp: the versions that decided it.
    """
    fields = decision_fields(topic, topic_id, row, stamp)
    alert = None
    if row.verdict is not Verdict.ALLOW:
        alert = orjson.dumps({"decision": fields, "reasons": row.reasons or []})
    return Encoded(row.comment_id.encode(), orjson.dumps(fields), alert)


def pane_key(pane: Pane) -> bytes:
    """The key on topic ``panes``: a JSON array of what tells panes apart."""
    return orjson.dumps(
        [pane.topic_id, pane.partition, pane.community, pane.start_us, pane.model_version, pane.policy_version]
    )


class Publisher:
    """Sends with an idempotent producer of its own; Faust's may lose and double. Used by one thread at a time.

    Args:
        bootstrap: Kafka's addresses.
        topic_prefix: put before the names of the topics.
        topic: full name of the source topic.
        topic_id: its id.
        midway: called when the first half of something is on its way; for chaos.
    """

    def __init__(
        self, bootstrap: str, topic_prefix: str, topic: str, topic_id: UUID, midway: Callable[[], None]
    ) -> None:
        self._decisions = topic_prefix + DECISIONS.name
        self._alerts = topic_prefix + ALERTS.name
        self._panes = topic_prefix + PANES.name
        self._topic = topic
        self._topic_id = str(topic_id)
        self._midway = midway
        self._failure: KafkaError | None = None
        # Successes need no word: what flush leaves empty without a failure was taken, every record of it.
        settings: dict[str, Any] = {
            **producer_settings(bootstrap, DELIVERY_SECONDS),
            "delivery.report.only.error": True,
        }
        self._producer = Producer({**settings, "linger.ms": 5, "on_delivery": self._note})

    def encode(self, row: DecisionRow, stamp: Stamp) -> Encoded:
        """What a decision becomes on the topics. May be called by any thread."""
        return encode_decision(self._topic, self._topic_id, row, stamp)

    def publish(self, published: Published) -> int:
        """Send decisions, alerts and panes, and wait until the brokers have them all.

        Returns:
            How many records were sent.

        Raises:
            PublishingFailed: a record was not accepted; the ledger still holds it for another try.
        """
        sent = 0
        halfway = (len(published.decisions) + len(published.panes)) // 2
        for topic, value, key in self._records(published):
            self._send(topic, value, key)
            if sent == halfway:
                self._midway()
            sent += 1
        left = self._producer.flush(2 * DELIVERY_SECONDS)
        if left or self._failure is not None:
            raise PublishingFailed(
                "the topics of decisions", str(self._failure or f"{left} records wait for an acknowledgement")
            )
        return sent

    def _send(self, topic: str, value: bytes, key: bytes) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key)
                return
            except BufferError:
                self._producer.poll(_POLL_SECONDS)
            except KafkaException as error:
                raise PublishingFailed(f"topic {topic}", str(error)) from error

    def _records(self, published: Published) -> Iterator[tuple[str, bytes, bytes]]:
        for encoded in published.encoded or (self.encode(row, stamp) for row, stamp in published.decisions):
            yield self._decisions, encoded.decision, encoded.key
            if encoded.alert is not None:
                yield self._alerts, encoded.alert, encoded.key
        for pane in published.panes:
            yield self._panes, orjson.dumps(pane), pane_key(pane)

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._failure is None:
            self._failure = error
