"""Decisions, alerts and closed panes on their topics: pure functions of ledger rows, safe to send again.

Decisions and alerts are keyed by comment_id, panes by what tells them apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import orjson
from aiokafka import AIOKafkaProducer

from moderation.adapters.topics import ALERTS, DECISIONS, PANES
from moderation.contracts import Decision, Pane, Verdict
from stream.processor import Published


def decision_value(decision: Decision) -> bytes:
    """The value on topic ``decisions``."""
    return orjson.dumps(decision)


def alert_value(decision: Decision, reasons: list[str] | None) -> bytes:
    """The value on topic ``alerts``: the decision with its strongest tokens."""
    return orjson.dumps({"decision": decision, "reasons": reasons or []})


def pane_key(pane: Pane) -> bytes:
    """The key on topic ``panes``: a JSON array of what tells panes apart."""
    return orjson.dumps(
        [pane.topic_id, pane.partition, pane.community, pane.start_us, pane.model_version, pane.policy_version]
    )


class Publisher:
    """Sends with an idempotent producer of its own; Faust's may lose and double.

    Args:
        bootstrap: Kafka's addresses.
        topic_prefix: put before the names of the topics.
        midway: called when the first half of something is on its way; for chaos.
    """

    def __init__(self, bootstrap: str, topic_prefix: str, midway: Callable[[], None]) -> None:
        self._bootstrap = bootstrap
        self._decisions = topic_prefix + DECISIONS.name
        self._alerts = topic_prefix + ALERTS.name
        self._panes = topic_prefix + PANES.name
        self._midway = midway
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect; must be called on the loop that will send."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            acks="all",
            linger_ms=20,
            compression_type="lz4",
            max_batch_size=256 * 1024,
            request_timeout_ms=30_000,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is buffered and disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def publish(self, published: Published) -> int:
        """Send decisions, alerts and panes, and wait until the brokers have them all.

        Returns:
            How many records were sent.

        Raises:
            aiokafka.errors.KafkaError: a record was not accepted; the ledger still holds it for another try.
        """
        if self._producer is None:
            raise RuntimeError("publisher is not started")
        sent = []
        halfway = (len(published.decisions) + len(published.panes)) // 2
        for number, (topic, value, key) in enumerate(self._records(published)):
            sent.append(await self._producer.send(topic, value, key=key))
            if number == halfway:
                self._midway()
        if sent:
            await asyncio.gather(*sent)
        return len(sent)

    def _records(self, published: Published) -> Iterator[tuple[str, bytes, bytes]]:
        for decision, reasons in published.decisions:
            key = decision.comment_id.encode()
            yield self._decisions, decision_value(decision), key
            if decision.verdict is not Verdict.ALLOW:
                yield self._alerts, alert_value(decision, reasons), key
        for pane in published.panes:
            yield self._panes, orjson.dumps(pane), pane_key(pane)
