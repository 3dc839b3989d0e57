"""Read an offset range of one partition: committed records and the holes between them.

The reader uses aiokafka and :mod:`moderation.adapters.kafka.batch_unpacker`. librdkafka does not report holes, has no
limit for the unpacked size of a batch, and ends the process at header names that are not UTF-8.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from moderation.adapters.kafka import batch_unpacker
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.event_loop import ConnectionLoop
from moderation.errors import BrokerUnavailable

T = TypeVar("T")
_SILENCE_SECONDS = 60.0
_POLL_MS = 500
_MOST_RECORDS = 5_000
_FETCH_BYTES = 4 * 1024 * 1024
_WAIT_MS = 20


class CommittedReader:
    """Reads one topic without a consumer group and without commits. Connects on first use.

    Args:
        kafka: the connection.
        topic: full name.
    """

    def __init__(self, kafka: KafkaConnection, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._consumer: AIOKafkaConsumer | None = None
        self._loop = ConnectionLoop()
        # The loop keeps running while the caller processes records, so the next fetch is already on its way.
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka-reader", daemon=True)

    def read(self, partition: int, first: int, end: int) -> Iterator[Any]:
        """Read every offset of [first, end), as a record of aiokafka or inside a ``HoleRecord``.

        The end must not be greater than the last stable offset. The last item may extend beyond the end.

        Raises:
            OffsetOutOfRangeError: the log no longer has the first offset.
            BrokerUnavailable: no record arrives for a minute.
            KafkaError: the brokers refuse the request.
        """
        topic_partition = TopicPartition(self._topic, partition)
        consumer = self._connected()
        self._run(_seek(consumer, topic_partition, first))
        expected, last_read = first, time.monotonic()
        while expected < end:
            fetched = self._run(consumer.getmany(topic_partition, timeout_ms=_POLL_MS, max_records=_MOST_RECORDS))
            for each in fetched.get(topic_partition, ()):
                if expected >= end:
                    return
                yield each
                expected, last_read = each.offset + 1, time.monotonic()
            if time.monotonic() - last_read > _SILENCE_SECONDS:
                raise BrokerUnavailable(
                    f"topic {self._topic} partition {partition}",
                    f"no record at offset {expected} within {_SILENCE_SECONDS:g} s",
                    "See `moderation status` and the brokers' logs; then try again.",
                )

    def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            self._run(self._consumer.stop())
        if self._thread.is_alive():
            self._run(self._loop.close_connections())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            batch_unpacker.install()
            if not self._thread.is_alive():
                self._thread.start()
            self._consumer = self._run(self._connect())
        return self._consumer

    async def _connect(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            enable_auto_commit=False,
            # A deleted offset must raise an error, not be replaced by the nearest one.
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=_WAIT_MS,
            **self._kafka.aiokafka(),
        )
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _seek(consumer: AIOKafkaConsumer, topic_partition: TopicPartition, offset: int) -> None:
    consumer.assign([topic_partition])
    consumer.seek(topic_partition, offset)
