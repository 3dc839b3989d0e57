"""Send produce requests with arbitrary record batches over a socket, which client libraries would refuse.

Layouts: https://kafka.apache.org/documentation/#recordbatch and Produce version 7 of
https://kafka.apache.org/protocol.html.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aiokafka.record.util import calc_crc32c

from moderation.adapters.kafka.connection import KafkaConnection

Header = tuple[bytes, bytes | None]
_PRODUCE, _VERSION = 0, 7
_SECONDS = 30.0


class Answer(NamedTuple):
    """Answer of the broker: error code, 0 for none, and the base offset of the batch."""

    error: int
    base_offset: int


def varint(number: int, size: int = 0) -> bytes:
    """Encode a signed number in zigzag coding, padded to at least ``size`` bytes."""
    left = (number << 1) ^ (number >> 63)
    groups = []
    while True:
        groups.append(left & 0x7F)
        left >>= 7
        if not left and len(groups) >= size:
            break
    return bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])


def _sized(value: bytes | None, size: int = 0) -> bytes:
    return varint(-1, size) if value is None else varint(len(value), size) + value


def record(
    value: bytes | None,
    *,
    delta: int = 0,
    key: bytes | None = b"key",
    headers: Sequence[Header] = (),
    header_count: int | None = None,
    attributes: int = 0,
    time_delta: int = 0,
    number_size: int = 0,
) -> bytes:
    """Encode one record of a batch.

    Args:
        value: value of the record.
        delta: its offset minus that of the batch.
        key: key of the record.
        headers: names and values.
        header_count: stated number of headers, if it differs from the real one.
        attributes: bits that no version of Kafka uses.
        time_delta: its time minus that of the batch, milliseconds.
        number_size: minimum bytes of every number.
    """
    count = len(headers) if header_count is None else header_count
    body = b"".join(
        (
            struct.pack(">B", attributes),
            varint(time_delta, number_size),
            varint(delta, number_size),
            _sized(key, number_size),
            _sized(value, number_size),
            varint(count, number_size),
            *(_sized(name, number_size) + _sized(content, number_size) for name, content in headers),
        )
    )
    return varint(len(body), number_size) + body


@dataclass(frozen=True)
class RawBatch:
    """Record batch whose fields the test sets freely.

    Attributes:
        records: bytes after the header, compressed or not.
        count: number of records.
        last_delta: offset of the last record minus that of the batch; ``count`` minus one if None.
        attributes: codec (1 gzip, 2 snappy, 3 lz4, 4 zstd), 8 append time, 16 transactional, 32 control.
        time_ms: first and largest time; now if None.
        magic: version of the format.
        crc_error: number added to the checksum.
    """

    records: bytes
    count: int = 1
    last_delta: int | None = None
    attributes: int = 0
    time_ms: int | None = None
    magic: int = 2
    crc_error: int = 0

    def data(self) -> bytes:
        """Return the bytes of the batch."""
        time_ms = time.time_ns() // 1_000_000 if self.time_ms is None else self.time_ms
        last_delta = self.count - 1 if self.last_delta is None else self.last_delta
        checked = (
            struct.pack(">hiqqqhii", self.attributes, last_delta, time_ms, time_ms, -1, -1, -1, self.count)
            + self.records
        )
        crc = (calc_crc32c(checked) + self.crc_error) & 0xFFFFFFFF
        body = struct.pack(">ibI", -1, self.magic, crc) + checked
        return struct.pack(">qi", 0, len(body)) + body


class RawProducer:
    """Connection to the single broker, which leads all partitions."""

    def __init__(self, kafka: KafkaConnection) -> None:
        host, _, port = kafka.bootstrap.split(",")[0].rpartition(":")
        self._socket = socket.create_connection((host, int(port)), _SECONDS)
        self._number = 0

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()

    def send(self, topic: str, partition: int, batch: bytes) -> Answer:
        """Send one batch and wait until the broker has stored or refused it."""
        self._number += 1
        name = topic.encode()
        request = b"".join(
            (
                struct.pack(">hhi", _PRODUCE, _VERSION, self._number),
                struct.pack(">h", -1),  # no client id
                struct.pack(">h", -1),  # no transaction
                struct.pack(">hi", -1, round(_SECONDS * 1_000)),
                struct.pack(">ih", 1, len(name)),
                name,
                struct.pack(">iii", 1, partition, len(batch)),
                batch,
            )
        )
        self._socket.sendall(struct.pack(">i", len(request)) + request)
        answer = self._read(struct.unpack(">i", self._read(4))[0])
        number, topics, length = struct.unpack_from(">iih", answer)
        assert (number, topics) == (self._number, 1)
        _, _, error, base_offset = struct.unpack_from(">iihq", answer, struct.calcsize(">iih") + length)
        return Answer(error, base_offset)

    def _read(self, size: int) -> bytes:
        parts = b""
        while len(parts) < size:
            part = self._socket.recv(size - len(parts))
            if not part:
                raise ConnectionError("the broker closed the connection")
            parts += part
        return parts
