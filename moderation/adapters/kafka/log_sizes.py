"""Read the sizes of partition logs with Kafka's request DescribeLogDirs.

Neither aiokafka nor confluent_kafka has this request, so this module defines its version 1, the first one that all
supported brokers know, for aiokafka's client. Its fields: https://kafka.apache.org/protocol#The_Messages_DescribeLogDirs
"""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String
from aiokafka.structs import TopicPartition

from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.event_loop import run

_REQUEST_SECONDS = 5.0
_TEXT = String("utf-8")


class _LogDirsResponse(Response):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16),
                ("log_dir", _TEXT),
                (
                    "topics",
                    Array(
                        ("name", _TEXT),
                        (
                            "partitions",
                            Array(
                                ("partition", Int32),
                                ("size", Int64),
                                ("offset_lag", Int64),
                                ("is_future", Boolean),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


class _LogDirsRequestStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 1
    RESPONSE_TYPE = _LogDirsResponse
    SCHEMA = Schema(("topics", Array(("name", _TEXT), ("partitions", Array(Int32)))))


class _LogDirsRequest(Request[_LogDirsRequestStruct]):  # type: ignore[misc]
    API_KEY = 35

    def __init__(self, topic: str, partitions: list[int]) -> None:
        self._topics = [(topic, partitions)]

    def build(self, request_struct_class: type[_LogDirsRequestStruct]) -> _LogDirsRequestStruct:
        return request_struct_class(self._topics)


def log_sizes(kafka: KafkaConnection, topic: str, partitions: Sequence[int]) -> dict[int, int]:
    """Read the bytes of each partition's log at its leader; partitions without a leader are left out.

    A broker returns no sizes to clients without the right to describe the cluster; then the result is empty.

    Args:
        kafka: the connection.
        topic: full name.
        partitions: numbers.

    Raises:
        aiokafka.errors.KafkaError: the brokers do not answer, or refuse.
    """
    return run(_log_sizes(kafka, topic, partitions))


async def _log_sizes(kafka: KafkaConnection, topic: str, partitions: Sequence[int]) -> dict[int, int]:
    client = AIOKafkaClient(request_timeout_ms=round(_REQUEST_SECONDS * 1_000), **kafka.aiokafka())
    try:
        await client.bootstrap()
        await client.set_topics([topic])
        led: dict[int, list[int]] = {}
        for partition in partitions:
            leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
            if leader is not None and leader >= 0:
                led.setdefault(leader, []).append(partition)
        sizes: dict[int, int] = {}
        for leader, numbers in led.items():
            response = await client.send(leader, _LogDirsRequest(topic, numbers))
            for _, _, topics in response.results:
                for _, logs in topics:
                    sizes.update((partition, size) for partition, size, _, is_future in logs if not is_future)
        return sizes
    finally:
        await client.close()
