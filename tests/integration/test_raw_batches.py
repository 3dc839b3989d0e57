"""Record batches of other clients: the broker refuses them, or the worker accounts for every offset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cramjam
import pytest
from aiokafka.codec import lz4_encode

from local.oracle import DeliveryReport
from local.stack.wait import wait_until
from moderation.adapters.kafka.connection import kafka_of
from tests.integration.test_transactions import holes, is_at_the_end
from tests.support.lakes import SMALL, LakeUnderTest
from tests.support.raw_produce import RawBatch, RawProducer, record
from tests.support.reconcile_day import DayUnderTest, comments
from tests.support.workers import SpeedLayerUnderTest

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
APPEND_TIME, TRANSACTIONAL, CONTROL, HORIZON = 0x08, 0x10, 0x20, 0x40
_numbers: Iterator[int] = iter(range(1_000_000))


def value() -> bytes:
    """Return a unique comment of the day."""
    ((_, made),) = comments([next(_numbers)], key="raw")
    return made


@dataclass(frozen=True)
class Case:
    """A batch and its expected result.

    Attributes:
        batch: to send.
        values: of its records, by offset less that of the batch; None where the broker must refuse it.
        is_unreadable: whether its offsets become a hole of kind ``unreadable``.
    """

    batch: RawBatch
    values: Mapping[int, bytes] | None
    is_unreadable: bool = False


def one(make: Callable[[bytes], bytes] = record, **fields: int) -> Case:
    """Return a batch of one record that the broker accepts."""
    content = value()
    return Case(RawBatch(make(content), **fields), {0: content})


def packed(codec: int, pack: Callable[[bytes], bytes], *, is_taken: bool = True) -> Case:
    content = value()
    batch = RawBatch(pack(record(content)), attributes=codec)
    return Case(batch, {0: content} if is_taken else None)


def several(deltas: Sequence[int], count: int, last_delta: int, *, is_taken: bool = False) -> Case:
    contents = {delta: value() for delta in deltas}
    records = b"".join(record(contents[delta], delta=delta) for delta in deltas)
    return Case(RawBatch(records, count=count, last_delta=last_delta), contents if is_taken else None)


def refused(batch: RawBatch) -> Case:
    return Case(batch, None)


def plain(data: bytes) -> bytes:
    return data


def gzip(data: bytes) -> bytes:
    return bytes(cramjam.gzip.compress(data))


def lz4(data: bytes) -> bytes:
    return bytes(cramjam.lz4.compress(data))


def zstd(data: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(data))


def snappy_block(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


def halves(pack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return two concatenated frames."""
    return lambda data: pack(data[: len(data) // 2]) + pack(data[len(data) // 2 :])


def cases() -> dict[str, Case]:
    return {
        "header name that is not UTF-8": one(lambda v: record(v, headers=[(b"\xff\xfe", b"x")])),
        "header name without bytes": one(lambda v: record(v, headers=[(b"", b"x")])),
        "header value null": one(lambda v: record(v, headers=[(b"h", None)])),
        "header that names no dead letter": one(lambda v: record(v, headers=[(b"replay_of", b"\xff/x/y")])),
        "ten thousand headers": one(lambda v: record(v, headers=[(b"h", b"v")] * 10_000)),
        "key null": one(lambda v: record(v, key=None)),
        "key without bytes": one(lambda v: record(v, key=b"")),
        "value null": Case(RawBatch(record(None)), {0: b""}),
        "value without bytes": Case(RawBatch(record(b"")), {0: b""}),
        "attributes of a record": one(lambda v: record(v, attributes=0x7F)),
        # aiokafka takes the byte for a number of several bytes. No client sets these bits, which Kafka does not use.
        "highest attribute of a record": replace(one(lambda v: record(v, attributes=0x80)), is_unreadable=True),
        "numbers of five bytes": one(lambda v: record(v, number_size=5)),
        "no time": one(time_ms=-1),
        "time before 1970": one(time_ms=-86_400_000),
        "time far ahead": one(time_ms=1 << 50),
        "time delta that overflows": one(lambda v: record(v, time_delta=(1 << 62))),
        "append time by the client": refused(RawBatch(record(value()), attributes=APPEND_TIME)),
        "delete horizon by the client": one(attributes=HORIZON),
        "gzip": packed(GZIP, gzip),
        "lz4": packed(LZ4, lz4_encode),
        "lz4 of blocks that depend on each other": packed(LZ4, lz4, is_taken=False),
        "zstd": packed(ZSTD, zstd),
        "zstd of two frames": packed(ZSTD, halves(zstd)),
        "snappy without the Java client's framing": packed(SNAPPY, snappy_block),
        "gzip that is not packed": packed(GZIP, plain, is_taken=False),
        "lz4 that is zstd": packed(LZ4, zstd, is_taken=False),
        "zstd that is gzip": packed(ZSTD, gzip, is_taken=False),
        "unknown codec": packed(7, plain, is_taken=False),
        "wrong checksum": refused(RawBatch(record(value()), crc_error=1)),
        "unknown format": refused(RawBatch(record(value()), magic=3)),
        "old format": refused(RawBatch(record(value()), magic=1)),
        "control batch of a client": refused(RawBatch(record(value()), attributes=CONTROL)),
        "transaction without a producer": refused(RawBatch(record(value()), attributes=TRANSACTIONAL)),
        "more records than stated": several([0, 1], 1, 0),
        "fewer records than stated": several([0], 2, 1),
        "no record": refused(RawBatch(b"", count=0)),
        "offsets out of order": several([1, 0], 2, 1, is_taken=True),
        "offsets twice": several([0], 1, 5),
        "offsets with a gap": several([0, 5], 2, 5),
        "header count that is not there": refused(RawBatch(record(value(), header_count=1_000_000))),
        "header count below 0": refused(RawBatch(record(value(), header_count=-2))),
        "bytes behind the last record": refused(RawBatch(record(value()) + b"\x00\x00")),
    }


@pytest.mark.long
@pytest.mark.budget(60)
def test_a_batch_that_the_broker_takes_is_accounted_for_offset_by_offset(
    layer: SpeedLayerUnderTest, tmp_path: Path
) -> None:
    day = DayUnderTest(layer, tmp_path)
    worker = layer.start_worker()
    layer.produce(comments(range(20)))
    producer = RawProducer(kafka_of(layer.settings))
    sent, unexpected = cases(), dict[str, int]()
    try:
        for name, case in sent.items():
            answer = producer.send(layer.topic, 0, case.batch.data())
            if (case.values is None) != bool(answer.error):
                unexpected[name] = answer.error
            if not answer.error:
                layer.delivered += [
                    DeliveryReport(0, answer.base_offset + delta, hashlib.sha256(content).hexdigest())
                    for delta, content in (case.values or {}).items()
                ]
    finally:
        producer.close()
    assert unexpected == {}
    layer.produce(comments(range(20, 40)))
    wait_until(lambda: is_at_the_end(layer), seconds=60, description="the end of the topic")
    assert worker.poll() is None
    found = layer.comparison()
    assert found.is_exact, found
    assert found.unreadable_offsets == found.hole_offsets == sum(case.is_unreadable for case in sent.values())

    day.archive(limits=SMALL)
    assert holes(layer, "batch") == holes(layer)
    inspection = LakeUnderTest(day.settings).inspect()
    assert inspection.is_whole, inspection.defects
    report = day.reconcile()
    assert report.defects == dict.fromkeys(report.defects, 0)
    assert report.batch_comments == report.speed_comments == found.decisions
