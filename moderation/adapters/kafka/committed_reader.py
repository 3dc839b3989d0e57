"""Read a range of one partition: committed records and, at their offsets, the holes between them.

It reads with aiokafka and :mod:`moderation.adapters.kafka.batch_unpacker`. librdkafka leaves holes out without their
kind, has no limit for the unpacked size of a batch, and ends the process at header names that are not UTF-8.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.helpers import create_ssl_context

from moderation.adapters.kafka import batch_unpacker
from moderation.errors import BrokerUnavailable, ConfigurationError

T = TypeVar("T")
_SILENCE_SECONDS = 60.0
_POLL_MS = 500
_MOST_RECORDS = 5_000
_FETCH_BYTES = 4 * 1024 * 1024
_WAIT_MS = 20
_PLAIN = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "client.id": "client_id",
}
_TLS = {
    "ssl.ca.location": "cafile",
    "ssl.ca.pem": "cadata",
    "ssl.certificate.location": "certfile",
    "ssl.key.location": "keyfile",
    "ssl.key.password": "password",
}
_CHECK_NAME, _VERIFY = "ssl.endpoint.identification.algorithm", "enable.ssl.certificate.verification"
_SECURING = ("ssl.", "sasl.", "security.")


def aiokafka_settings(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """librdkafka's settings of a connection as aiokafka's arguments; those of groups and polling mean nothing here.

    Raises:
        ConfigurationError: one that secures the connection has no counterpart, or a certificate cannot be read.
    """
    known = {*_PLAIN, *_TLS, _CHECK_NAME, _VERIFY}
    unknown = sorted(name for name in configuration if name.startswith(_SECURING) and name not in known)
    if unknown:
        raise ConfigurationError(
            f"Kafka setting {unknown[0]}",
            "the archive cannot use it",
            f"It knows {', '.join(sorted(known))}.",
        )
    settings = {ours: configuration[name] for name, ours in _PLAIN.items() if name in configuration}
    if "security_protocol" in settings:
        settings["security_protocol"] = str(settings["security_protocol"]).upper()
    if str(settings.get("security_protocol", "")).endswith("SSL"):
        tls = {ours: configuration[name] for name, ours in _TLS.items() if name in configuration}
        try:
            context = create_ssl_context(**tls)
        except OSError as error:
            raise ConfigurationError("Kafka's TLS files", str(error), f"See {', '.join(sorted(_TLS))}.") from error
        context.check_hostname = str(configuration.get(_CHECK_NAME, "https")).lower() != "none"
        if str(configuration.get(_VERIFY, "true")).lower() == "false":
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        settings["ssl_context"] = context
    return settings


class CommittedReader:
    """Reads one topic. It takes part in no group and commits nothing. Connects when it is first used.

    Args:
        bootstrap: addresses of brokers.
        topic: full name.
        configuration: settings of the connection, by librdkafka's names.
    """

    def __init__(self, bootstrap: str, topic: str, configuration: Mapping[str, Any]) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._configuration = configuration
        self._consumer: AIOKafkaConsumer | None = None
        self._loop = asyncio.new_event_loop()
        # The loop runs on while records are worked on: the next fetch is under way then.
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka-reader", daemon=True)

    def read(self, partition: int, first: int, end: int) -> Iterator[Any]:
        """Read offsets [first, end), every one of them: aiokafka's records, and ``HoleRecord`` in the place of some.

        The end must not lie beyond the last stable offset. What is yielded last may reach beyond the end.

        Raises:
            OffsetOutOfRangeError: the first offset is not in the log any more.
            BrokerUnavailable: nothing comes for a minute.
            KafkaError: the brokers refuse.
        """
        place = TopicPartition(self._topic, partition)
        consumer = self._connected()
        self._run(_seek(consumer, place, first))
        expected, heard = first, time.monotonic()
        while expected < end:
            found = self._run(consumer.getmany(place, timeout_ms=_POLL_MS, max_records=_MOST_RECORDS))
            for each in found.get(place, ()):
                if expected >= end:
                    return
                yield each
                expected, heard = each.offset + 1, time.monotonic()
            if time.monotonic() - heard > _SILENCE_SECONDS:
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
            bootstrap_servers=self._bootstrap,
            enable_auto_commit=False,
            # An offset that is gone must be told, not replaced by the nearest that is left.
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=_WAIT_MS,
            **aiokafka_settings(self._configuration),
        )
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _seek(consumer: AIOKafkaConsumer, place: TopicPartition, offset: int) -> None:
    consumer.assign([place])
    consumer.seek(place, offset)
