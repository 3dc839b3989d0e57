"""Send record batches that Python clients refuse to send: invalid header names, a huge compressed record."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.event_loop import run

_CRC_AT, _ATTRIBUTES_AT = struct.calcsize(">qiib"), struct.calcsize(">qiibI")
_PLACEHOLDER = "header-name-placeholder"


def send_with_header_names(
    kafka: KafkaConnection, topic: str, records: Sequence[tuple[bytes, bytes, bytes]], partition: int = 0
) -> int:
    """Send records with one header each, whose name need not be valid UTF-8.

    Args:
        kafka: the connection.
        topic: full name.
        records: key, value and header name of each; a name has 23 bytes.
        partition: of the topic.

    Returns:
        The offset of the first record.
    """
    return run(_send(kafka, topic, partition, records))


def send_one_huge_record(kafka: KafkaConnection, topic: str, size_bytes: int, partition: int = 0) -> tuple[int, str]:
    """Send a record of zeros in a batch that zstd compresses by a factor of ten thousand.

    Returns:
        Its offset, and the SHA-256 of its value in hexadecimal.
    """
    value = bytes(size_bytes)
    builder = DefaultRecordBatchBuilder(2, DefaultRecordBatch.CODEC_ZSTD, 0, -1, -1, -1, 1 << 31)
    builder.append(0, timestamp=0, key=b"huge", value=value, headers=[])
    offset = run(_send_built(kafka, topic, partition, bytes(builder.build())))
    return offset, hashlib.sha256(value).hexdigest()


async def _send_built(kafka: KafkaConnection, topic: str, partition: int, built: bytes) -> int:
    async with AIOKafkaProducer(**kafka.aiokafka()) as producer:
        batch: BatchBuilder = producer.create_batch()
        batch.append(key=b"key", value=b"value", timestamp=None)
        batch.close()
        batch._build()
        batch._buffer = built
        sent = await (await producer.send_batch(batch, topic, partition=partition))
        return int(sent.offset)


async def _send(
    kafka: KafkaConnection, topic: str, partition: int, records: Sequence[tuple[bytes, bytes, bytes]]
) -> int:
    async with AIOKafkaProducer(**kafka.aiokafka()) as producer:
        batch: BatchBuilder = producer.create_batch()
        for key, value, _ in records:
            if batch.append(key=key, value=value, timestamp=None, headers=[(_PLACEHOLDER, b"x")]) is None:
                raise ValueError("the records are too large for one batch")
        batch.close()
        built = bytearray(batch._build())
        for _, _, name in records:
            start = built.index(_PLACEHOLDER.encode())
            if len(name) != len(_PLACEHOLDER):
                raise ValueError(f"a header name of {len(name)} bytes, not {len(_PLACEHOLDER)}")
            built[start : start + len(name)] = name
        built[_CRC_AT:_ATTRIBUTES_AT] = struct.pack(">I", calc_crc32c(bytes(built[_ATTRIBUTES_AT:])))
        batch._buffer = bytes(built)
        sent = await (await producer.send_batch(batch, topic, partition=partition))
        return int(sent.offset)
