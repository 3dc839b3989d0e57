"""Checks of the worker's topic: its id, its ends, its open transactions."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException

from moderation.adapters import error_origin
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.end_offsets import written_ends
from moderation.adapters.kafka.open_transactions import open_transactions
from moderation.adapters.kafka.topic_identity import TopicIdentity
from moderation.errors import BrokerUnavailable, OffsetsGone, TopicRefused
from moderation.timestamps import now_us
from stream.worker import metrics

T = TypeVar("T")
_LOG_END_SECONDS = 9.0
"""A broker that has just restarted may report an older end for this long."""
_ANSWER_SECONDS = 10.0
_log = logging.getLogger(__name__)


class TopicChecks:
    """Checks of one topic. Requests run in a thread, so that the event loop is not blocked.

    Args:
        kafka: the connection.
        topic: full name of the topic.
        identity: checks the id of the topic.
    """

    def __init__(self, kafka: KafkaConnection, topic: str, identity: TopicIdentity) -> None:
        self._kafka = kafka
        self._topic = topic
        self._identity = identity

    async def require_same(self) -> None:
        """Require that the topic is the same as at the start.

        Raises:
            TopicRefused: the topic was deleted or re-created.
            BrokerUnavailable: no broker answers.
        """
        await _in_thread(self._identity.require)

    async def require_append_time(self) -> None:
        """Require that the broker sets append times; return also if no broker answers.

        Raises:
            TopicRefused: producers set the times.
        """
        await _in_thread(self._identity.require_append_time)

    async def require_same_or_no_answer(self) -> None:
        """Like ``require_same``, but only log that no broker answers.

        Raises:
            TopicRefused: the topic was deleted or re-created.
        """
        try:
            await self.require_same()
        except BrokerUnavailable as error:
            _log.warning("%s", error)

    async def require_reaches(self, needed: Mapping[int, int], readable: Mapping[int, int]) -> None:
        """Refuse a topic that lost records of the ledger, because new records would get their offsets.

        A broker that has just started may report an older end, so the check is repeated for ten seconds. If only the
        readable end is too early, but not the log end, the partition waits for an open transaction; this is logged.

        Args:
            needed: next offset of the ledger by partition.
            readable: last stable offset by partition.

        Raises:
            TopicRefused: a partition ends before the next offset of the ledger.
            BrokerUnavailable: no broker answers.
        """
        until = time.monotonic() + _LOG_END_SECONDS
        while True:
            early = [partition for partition, offset in sorted(needed.items()) if readable[partition] < offset]
            if not early:
                return
            written = await self._written(early)
            short = [partition for partition in early if written[partition] < needed[partition]]
            if not short:
                await self._log_decided_too_early({partition: needed[partition] for partition in early}, readable)
                return
            if time.monotonic() > until:
                break
            await asyncio.sleep(1)
            readable = {**readable, **written}
        raise TopicRefused(
            f"topic {self._topic} partition {short[0]}",
            f"it ends at {written[short[0]]}, but the ledger accounts for offsets up to {needed[short[0]]}",
            "The brokers lost records: re-create the topic, then run `moderation accept-gap --yes`.",
        )

    async def require_end(self, partition: int, needed: int) -> None:
        """Refuse a partition that ends before an offset.

        Raises:
            OffsetsGone: the partition ends before ``needed``.
            BrokerUnavailable: no broker answers.
        """
        ends = await self._written([partition])
        if ends[partition] < needed:
            where = f"topic {self._topic} partition {partition}"
            raise OffsetsGone(where, f"it ends at {ends[partition]}, but offset {needed} is needed next")

    async def show_open_transactions(self) -> None:
        """Log open transactions that block later records, and show their age as a metric. Never raises."""
        try:
            transactions = await _in_thread(functools.partial(open_transactions, self._kafka, self._topic))
        except Exception as error:
            # This check only reports: it must not end a worker that decides.
            _log.warning("cannot look for open transactions: %s", error_origin.loggable_text(error))
            return
        for each in transactions:
            _log.warning("%s", each.message(self._kafka))
        ages = {each.partition: (now_us() - each.since_us) / 1e6 for each in transactions}
        metrics.show_by_partition(metrics.OPEN_TRANSACTION, ages)

    async def _written(self, partitions: Iterable[int]) -> dict[int, int]:
        try:
            return await _in_thread(
                lambda: written_ends(self._kafka, self._topic, partitions, timeout_seconds=_ANSWER_SECONDS)
            )
        except KafkaException as error:
            raise BrokerUnavailable(
                f"topic {self._topic}",
                f"no broker reports its log end: {error.args[0].str()}",
                "Check that Kafka runs.",
            ) from error

    async def _log_decided_too_early(self, needed: Mapping[int, int], readable: Mapping[int, int]) -> None:
        try:
            opened = await _in_thread(functools.partial(open_transactions, self._kafka, self._topic, 0.0))
        except (KafkaException, KafkaError):
            opened = []  # the check every minute names them
        descriptions = {each.partition: each.message(self._kafka) for each in opened}
        for partition, offset in needed.items():
            _log.warning(
                "topic %s partition %s: the ledger accounts for offsets up to %s, but the topic is readable up to %s "
                "only: an earlier version of the worker decided records of a transaction that is still open. No record "
                "is lost; the partition waits until the transaction ends. If it is aborted, reconciliation reports its "
                "decided records as phantom. %s",
                self._topic,
                partition,
                offset,
                readable[partition],
                descriptions.get(partition, "`moderation status` names the transaction."),
            )


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, work)
