"""Signed records of promotions: what was edited, removed or never signed is named."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from moderation.adapters.promotion_checks import RecordCheck, check_records
from moderation.adapters.registry.keys import KeyRing, SigningKey
from moderation.adapters.registry.promotion_record import SignedRecord
from moderation.adapters.sql.promotions import PromotionRecord

KEY = SigningKey.generate()
RING = KeyRing(KEY.public)
Records = list[tuple[PromotionRecord, SignedRecord | None]]


def signed(
    number: int, after: str = "", key: SigningKey = KEY, reason: str = "better"
) -> tuple[PromotionRecord, SignedRecord]:
    row = PromotionRecord(
        f"run {number}",
        "comments",
        "m",
        str(number),
        None,
        "promote",
        "ann",
        reason,
        "passed",
        "",
        "d" * 64,
        "x",
        number,
    )
    return row, SignedRecord.of({**asdict(row), "card_digest": "c", "certificate_digest": "e", "after": after}, key)


def three() -> tuple[Records, dict[str, str]]:
    first = signed(1)
    second = signed(2, first[1].digest)
    third = signed(3, second[1].digest)
    records = [first, second, third]
    return list(records), {row.version: record.to_tag() for row, record in records}


def found(records: Records, tags: dict[str, str]) -> list[tuple[str, str]]:
    return [(each.version, each.state) for each in check_records(records, tags, RING) if each.state != "signed"]


def test_records_that_belong_together_are_signed() -> None:
    records, tags = three()
    assert [each.state for each in check_records(records, tags, RING)] == ["signed"] * 3
    assert found(records, tags) == []


@pytest.mark.parametrize("field", list(PromotionRecord.__slots__))
def test_a_row_that_differs_from_its_text_in_any_column_is_edited(field: str) -> None:
    records, tags = three()
    row, record = records[1]
    value = 99 if field == "requested_us" else "forged"
    records[1] = replace(row, **{field: value}), record  # type: ignore[arg-type]
    (edited,) = [each for each in check_records(records, tags, RING) if each.state != "signed"]
    assert edited.state == "edited"
    assert edited.cause == f"the row differs from its signed text in {field}"


def test_a_text_that_was_edited_and_one_signed_by_another_key_are_named() -> None:
    records, tags = three()
    row, record = records[2]
    assert record is not None
    forged = json.dumps({**json.loads(record.record), "reason": "forged"})
    records[2] = replace(row, reason="forged"), replace(record, record=forged)
    assert ("3", "edited") in found(records, tags)
    records[2] = signed(3, json.loads(record.record)["after"], SigningKey.generate())
    assert ("3", "edited") in found(records, tags)


def test_a_removed_row_is_missing_by_the_next_record_and_by_the_tag() -> None:
    records, tags = three()
    del records[1]
    assert found(records, tags) == [("", "missing"), ("2", "missing")]
    assert found(records, {}) == [("", "missing")]
    records, tags = three()
    del records[2]
    assert found(records, tags) == [("3", "missing")]


def test_a_row_whose_signature_was_removed_is_not_signed_and_its_record_missing() -> None:
    records, tags = three()
    records[1] = records[1][0], None
    assert found(records, tags) == [("2", "not signed"), ("", "missing"), ("2", "missing")]


def test_records_from_before_are_not_signed() -> None:
    checks = check_records([(signed(1)[0], None)], {}, RING)
    assert checks == [RecordCheck("1", "run 1", 1, "not signed", "it has no signature")]


@pytest.mark.parametrize(
    "value", ["", "{}", "[]", "null", "no JSON", '{"record": 1, "signature": "a"}', '{"record": "a"}']
)
def test_a_tag_that_is_no_record_is_edited(value: str) -> None:
    records, tags = three()
    assert found(records, {**tags, "3": value}) == [("3", "edited")]


def test_a_tag_with_another_signature_is_edited() -> None:
    records, tags = three()
    stated = json.loads(tags["3"])
    assert found(records, {**tags, "3": json.dumps({**stated, "signature": "00"})}) == [("3", "edited")]


def test_a_record_that_is_too_long_for_a_tag_is_represented_by_its_digest() -> None:
    row, record = signed(1, reason="x" * 6_000)
    tag = record.to_tag()
    assert len(tag) < 5_000
    assert found([(row, record)], {"1": tag}) == []
    assert found([signed(1)], {"1": tag}) == [("1", "missing")]
