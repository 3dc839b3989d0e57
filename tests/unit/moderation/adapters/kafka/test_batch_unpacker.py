"""Unpacking of record batches: every offset becomes a record or a hole of the right kind."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import cramjam
import pytest
from aiokafka.record._crc32c import crc as crc32c
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from moderation.adapters.kafka.batch_unpacker import HoleRecord, RecordsAndHoles
from moderation.adapters.kafka.record_batches import MOST_UNPACKED_BYTES, Batch, Batches, Unreadable, unpacked
from moderation.contracts import HoleKind
from tests.support.raw_produce import RawBatch
from tests.support.raw_produce import record as raw_record

TP = TopicPartition("comments", 3)
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
PRODUCER = 77
CRC_AT, ATTRIBUTES_AT, LAST_DELTA_AT, MAX_TIME_AT, PAYLOAD_AT = 17, 21, 23, 35, 61
CONTROL = 0x20


def batch(
    base: int,
    values: list[bytes],
    *,
    codec: int = 0,
    transactional: bool = False,
    left_out: tuple[int, ...] = (),
    headers: list[tuple[str, bytes]] | None = None,
) -> bytes:
    """A batch as a broker sends it; ``left_out`` are records deleted by compaction."""
    builder = DefaultRecordBatchBuilder(2, codec, transactional, PRODUCER, 1, 0, 1 << 30)
    for number, value in enumerate(values):
        if number not in left_out:
            builder.append(number, timestamp=1_000, key=b"key", value=value, headers=headers or [])
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, base)
    struct.pack_into(">i", data, LAST_DELTA_AT, len(values) - 1)
    return signed(data)


def marker(base: int, *, abort: bool) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, True, PRODUCER, 1, 0, 1 << 20)
    builder.append(0, timestamp=1_000, key=struct.pack(">HH", 0, 0 if abort else 1), value=b"", headers=[])
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, base)
    (attributes,) = struct.unpack_from(">H", data, ATTRIBUTES_AT)
    struct.pack_into(">H", data, ATTRIBUTES_AT, attributes | CONTROL)
    return signed(data)


def signed(data: bytearray) -> bytes:
    """The batch with a correct checksum."""
    struct.pack_into(">I", data, CRC_AT, crc32c(bytes(data[ATTRIBUTES_AT:])))
    return bytes(data)


def read(data: bytes, first: int, aborted: list[tuple[int, int]] | None = None) -> list[Any]:
    records = RecordsAndHoles(TP, Batches(data), aborted, first, None, None, True, 1)
    return list(records)


def told(found: list[Any]) -> list[object]:
    return [
        (each.hole.first, each.hole.next, each.hole.kind.value) if isinstance(each, HoleRecord) else each.offset
        for each in found
    ]


def test_records_of_a_committed_transaction_and_its_marker() -> None:
    data = batch(5, [b"a", b"b"], transactional=True) + marker(7, abort=False) + batch(8, [b"c"])
    assert told(read(data, 5)) == [5, 6, (7, 8, "marker"), 8]


def test_records_of_an_aborted_transaction_are_a_hole() -> None:
    data = batch(5, [b"a", b"b"], transactional=True) + marker(7, abort=True) + batch(8, [b"c"], transactional=True)
    found = read(data, 5, [(PRODUCER, 5)])
    assert told(found) == [(5, 7, "aborted"), (7, 8, "marker"), 8]


def test_reading_begins_in_the_middle_of_an_aborted_batch() -> None:
    data = batch(5, [b"a", b"b", b"c"], transactional=True) + marker(8, abort=True)
    assert told(read(data, 6, [(PRODUCER, 5)])) == [(6, 8, "aborted"), (8, 9, "marker")]


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        ((0,), [(4, 6, "deleted"), 6, 7]),
        ((1,), [(4, 5, "deleted"), 5, (6, 7, "deleted"), 7]),
        ((2,), [(4, 5, "deleted"), 5, 6, (7, 8, "deleted")]),
        ((0, 1, 2), [(4, 8, "deleted")]),
    ],
)
def test_records_deleted_by_compaction_are_holes(left_out: tuple[int, ...], expected: list[object]) -> None:
    assert told(read(batch(5, [b"a", b"b", b"c"], left_out=left_out), 4)) == expected


@pytest.mark.parametrize("deltas", [(1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0)])
def test_records_whose_offsets_are_out_of_order_are_read_in_order(deltas: tuple[int, ...]) -> None:
    records = b"".join(raw_record(str(delta).encode(), delta=delta) for delta in deltas)
    found = read(RawBatch(records, count=3).data() + batch(3, [b"next"]), 0)
    assert [(each.offset, each.value) for each in found] == [(0, b"0"), (1, b"1"), (2, b"2"), (3, b"next")]


@pytest.mark.parametrize("codec", [0, GZIP, SNAPPY, LZ4, ZSTD])
def test_every_compression(codec: int) -> None:
    values = [b"x" * size for size in (0, 1, 100_000, 3)]
    found = read(batch(5, values, codec=codec, headers=[("name", b"value")]) + batch(9, [b"y"]), 5)
    assert [each.value for each in found] == [*values, b"y"]
    assert found[0].headers == (("name", b"value"),)


@pytest.mark.parametrize(("codec", "pack"), [(GZIP, cramjam.gzip.compress), (ZSTD, cramjam.zstd.compress)])
def test_records_packed_as_two_frames(codec: int, pack: Callable[[bytes], Any]) -> None:
    """Brokers accept them. The oracle's librdkafka cannot read two members of gzip, so no integration test has them."""
    records = b"".join(raw_record(b"x" * 100, delta=delta) for delta in range(4))
    packed = bytes(pack(records[:150])) + bytes(pack(records[150:]))
    assert told(read(RawBatch(packed, count=4, attributes=codec).data(), 0)) == [0, 1, 2, 3]


@pytest.mark.parametrize("codec", [0, ZSTD])
def test_header_names_that_are_not_utf8(codec: int) -> None:
    data = bytearray(batch(5, [b"a", b"b"], headers=[("na\u00efve", b"v")]))
    data = bytearray(data.replace("na\u00efve".encode(), b"na\xff\xfeve"))
    if codec:
        data[PAYLOAD_AT:] = bytes(cramjam.zstd.compress(bytes(data[PAYLOAD_AT:])))
        struct.pack_into(">H", data, ATTRIBUTES_AT, ZSTD)
        struct.pack_into(">i", data, 8, len(data) - 12)
    found = read(signed(data) + batch(7, [b"c"]), 5)
    assert [(each.offset, each.value) for each in found] == [(5, b"a"), (6, b"b"), (7, b"c")]
    assert found[0].headers == (("na\\xff\\xfeve", b"v"),)


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_batch_over_the_unpacked_limit_is_refused_and_the_next_is_read(codec: int) -> None:
    data = batch(5, [bytes(40_000_000), bytes(40_000_000)], codec=codec)
    found = read(data + batch(7, [b"good"]), 5)
    assert told(found) == [(5, 7, "unreadable"), 7]
    assert found[0].hole.cause == f"it unpacks to more than {MOST_UNPACKED_BYTES:,} bytes"


def test_the_limit_is_exact() -> None:
    data = memoryview(batch(0, [b"x" * 1_000], codec=ZSTD))
    whole = unpacked(Batch(data))
    assert whole is not None
    size = len(whole) - PAYLOAD_AT
    assert unpacked(Batch(data), size) == whole
    with pytest.raises(Unreadable):
        unpacked(Batch(data), size - 1)


def test_an_unknown_compression_is_named() -> None:
    data = bytearray(batch(5, [b"a", b"b"]))
    struct.pack_into(">H", data, ATTRIBUTES_AT, 6)
    found = read(signed(data) + batch(7, [b"good"]), 5)
    assert told(found) == [(5, 7, "unreadable"), 7]
    assert found[0].hole.cause == "its compression 6 is unknown"


def test_a_wrong_checksum_is_fetched_again_before_it_counts() -> None:
    good = batch(5, [b"a", b"b"])
    bad = good[:-1] + bytes([good[-1] ^ 1])
    data = bad + batch(7, [b"good"])
    assert told(read(data, 5)) == []
    assert told(read(good, 5)) == [5, 6]
    RecordsAndHoles._suspects.clear()
    assert told(read(data, 5)) == []
    assert told(read(data, 5)) == [(5, 7, "unreadable"), 7]


def test_a_damaged_last_batch_does_not_cover_unwritten_offsets() -> None:
    data = bytearray(batch(5, [b"a", b"b"]))
    struct.pack_into(">i", data, LAST_DELTA_AT, 1_000_000)
    assert told(read(bytes(data), 5)) == []
    assert told(read(bytes(data), 5)) == [(5, 6, "unreadable")]


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\x82SNAPPY\x00" + bytes(8) + b"\x00\x00", id="xerial: bytes behind the last block"),
        pytest.param(b"\x82SNAPPY\x00" + bytes(8) + b"\xff\xff\xff\xfc", id="xerial: a negative length"),
        pytest.param(b"\x82SNAPPY\x00" + bytes(8) + bytes(4), id="xerial: a length of zero"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_damaged_compressed_bytes_are_unreadable(payload: bytes) -> None:
    data = bytearray(batch(5, [b"a", b"b"], codec=SNAPPY)[:PAYLOAD_AT]) + payload
    struct.pack_into(">i", data, 8, len(data) - 12)
    assert told(read(signed(data) + batch(7, [b"good"]), 5)) == [(5, 7, "unreadable"), 7]


@pytest.mark.parametrize(("at", "value"), [(16, 0), (16, 1), (16, 3)])
def test_another_format(at: int, value: int) -> None:
    data = bytearray(batch(5, [b"a", b"b"]))
    data[at] = value
    assert told(read(bytes(data) + batch(7, [b"good"]), 5)) == [(5, 7, "unreadable"), 7]


def test_a_damaged_length_leaves_one_damaged_batch() -> None:
    data = bytearray(batch(5, [b"a", b"b"]))
    struct.pack_into(">i", data, 8, 3)
    for _ in range(2):
        found = read(bytes(data) + batch(7, [b"good"]), 5)
    assert told(found) == [(5, 7, "unreadable")]


def test_a_damaged_base_offset_does_not_hide_later_offsets() -> None:
    data = bytearray(batch(5, [b"a", b"b"])) + batch(1 << 60, [b"good"])
    data[80] ^= 1
    for _ in range(2):
        found = read(bytes(data), 5)
    assert told(found)[0] == (5, 7, "unreadable")


def test_a_part_of_a_fetch_is_bounded_and_the_rest_stays() -> None:
    data = b"".join(batch(number, [bytes(10_000_000)], codec=ZSTD) for number in range(5))
    records = RecordsAndHoles(TP, Batches(data), None, 0, None, None, True, 1)
    parts: list[list[int]] = []
    while sum(map(len, parts)) < 5:
        records.begin_part()
        part = []
        for each in records:
            part.append(each.offset)
            if records.is_part_full:
                break
        parts.append(part)
    assert parts == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("damaged", range(20))
def test_damaged_lengths_beside_odd_header_names_do_not_crash_the_process(damaged: int) -> None:
    """aiokafka's compiled code reads numbers beyond the end of the buffer, which crashes the process."""
    data = bytearray(batch(5, [b"a", b"b"], headers=[("na\u00efve", b"v")]))
    data = data.replace("\u00ef".encode(), b"\xff\xfe")
    at = (PAYLOAD_AT + len(data)) // 2 + damaged  # in the second record
    data[at : at + 5] = b"\xfe\xff\xff\xff\x0f"[: len(data) - at]
    found = read(signed(data) + batch(7, [b"good"]), 5)
    assert found[-1].value == b"good"


def test_a_record_outside_its_batch_makes_the_rest_unreadable() -> None:
    data = bytearray(batch(5, [b"a", b"b"]))
    data[PAYLOAD_AT + 3] = 20  # the first record's offset delta: 10 as a zigzag number
    found = read(signed(data) + batch(7, [b"good"]), 5)
    assert told(found) == [(5, 7, "unreadable"), 7]


@given(st.data())
def test_every_offset_of_any_batch_is_reported_once(data: st.DataObject) -> None:
    codec = data.draw(st.sampled_from([0, GZIP, SNAPPY, LZ4, ZSTD]))
    raw = bytearray(batch(10, data.draw(st.lists(st.binary(max_size=30), min_size=1, max_size=5)), codec=codec))
    following = 10 + struct.unpack_from(">i", raw, LAST_DELTA_AT)[0] + 1
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(PAYLOAD_AT, len(raw) - 1))] = data.draw(st.integers(0, 255))
    at = 10
    for each in read(signed(raw) + batch(following, [b"good"]), 10):
        first = each.hole.first if isinstance(each, HoleRecord) else each.offset
        assert first == at
        at = each.offset + 1
    assert at == following + 1


def test_hole_kinds_are_those_of_the_ledger() -> None:
    assert {kind.value for kind in HoleKind} == {"marker", "aborted", "deleted", "unreadable"}
