"""Parsing under all rules versions: golden records, dead letters, record ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest

from moderation.contracts import (
    MAX_RECORD_BYTES,
    RULES_VERSION,
    Comment,
    DeadLetterReason,
    Repair,
    Rules,
    Verdict,
    at_least_review,
    dead_letter,
)
from moderation.contracts.records import RAW_KEPT_BYTES
from moderation.errors import InvalidRecord
from tests.support.golden_rules import FILE, VERSIONS, rendered

NOW_US = 1_700_000_000_000_000
R = DeadLetterReason


def test_every_version_reads_the_golden_records_as_before() -> None:
    committed, found = json.loads(FILE.read_text()), json.loads(rendered())
    assert found.keys() == committed.keys()
    for name, record in committed.items():
        assert found[name] == record, name
    assert list(VERSIONS) == [str(number + 1) for number in range(RULES_VERSION)]


def test_rules_of_a_later_release_are_refused() -> None:
    with pytest.raises(ValueError, match="this release knows 1 to"):
        Rules(RULES_VERSION + 1)


@pytest.mark.parametrize("repair", Repair)
def test_only_a_changed_text_raises_the_verdict_to_review(repair: Repair) -> None:
    looked_at = {Repair.INVALID_UTF8, Repair.SURROGATE, Repair.NUL, Repair.CUT}
    expected = Verdict.REVIEW if repair in looked_at else Verdict.ALLOW
    assert at_least_review(Verdict.ALLOW, [repair]) is expected
    assert at_least_review(Verdict.REVIEW, [repair]) is Verdict.REVIEW
    assert at_least_review(Verdict.REMOVE, [repair]) is Verdict.REMOVE
    assert at_least_review(Verdict.ALLOW, []) is Verdict.ALLOW


def test_a_dead_letter_keeps_the_head_the_length_and_the_digest_of_the_whole() -> None:
    raw = b"y" * (MAX_RECORD_BYTES + 5)
    letter = dead_letter(raw, NOW_US, InvalidRecord(R.TOO_LARGE, "big"))
    assert letter.raw == raw[:RAW_KEPT_BYTES]
    assert letter.raw_length == len(raw)
    assert letter.raw_sha256 == hashlib.sha256(raw).hexdigest()
    assert (letter.reason, letter.detail, letter.append_us) == (R.TOO_LARGE, "big", NOW_US)


def test_record_ids_differ_with_id_time_or_body(comment: Callable[..., Comment]) -> None:
    variants = [comment(), comment(comment_id="c2"), comment(event_time_us=1), comment(body="other")]
    assert len({variant.record_id() for variant in variants}) == 4
    assert comment(comment_id="c1", community="a").record_id() == comment(community="b").record_id()
    known = hashlib.sha256(b"c1\x001700000000000000\x00Nice study, thanks.").digest()
    assert comment().record_id() == known
