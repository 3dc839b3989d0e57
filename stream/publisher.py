"""Decisions and alerts on their topics: pure functions of ledger rows, keyed by comment_id, safe to send again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import orjson
from aiokafka import AIOKafkaProducer

from moderation.contracts import Decision, Verdict


def decision_value(decision: Decision) -> bytes:
    """The value on topic ``decisions``."""
    return orjson.dumps(decision)


def alert_value(decision: Decision, reasons: list[str] | None) -> bytes:
    """The value on topic ``alerts``: the decision with its strongest tokens."""
    return orjson.dumps({"decision": decision, "reasons": reasons or []})


class Publisher:
    """Sends with an idempotent producer of its own; Faust's may lose and double.

    Args:
        bootstrap: Kafka's addresses.
        decisions_topic: where every decision goes.
        alerts_topic: where decisions that do not allow go, with reasons.
    """

    def __init__(self, bootstrap: str, decisions_topic: str, alerts_topic: str) -> None:
        self._bootstrap = bootstrap
        self._decisions = decisions_topic
        self._alerts = alerts_topic
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

    async def publish(self, decisions: Iterable[tuple[Decision, list[str] | None]]) -> int:
        """Send decisions and alerts and wait until the brokers have them all.

        Returns:
            How many records were sent.

        Raises:
            aiokafka.errors.KafkaError: a record was not accepted; the ledger still holds it for another try.
        """
        if self._producer is None:
            raise RuntimeError("publisher is not started")
        sent = []
        for decision, reasons in decisions:
            key = decision.comment_id.encode()
            sent.append(await self._producer.send(self._decisions, decision_value(decision), key=key))
            if decision.verdict is not Verdict.ALLOW:
                sent.append(await self._producer.send(self._alerts, alert_value(decision, reasons), key=key))
        if sent:
            await asyncio.gather(*sent)
        return len(sent)
