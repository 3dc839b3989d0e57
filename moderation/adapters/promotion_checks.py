"""Verify signed records of promotions: edited, removed and unsigned ones are named. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from moderation.adapters.registry.keys import KeyRing
from moderation.adapters.registry.promotion_record import PROMOTION_TAG, SignedRecord, digest_of_tag
from moderation.adapters.sql.promotions import PromotionRecord

State = Literal["signed", "not signed", "edited", "missing"]


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """Result for one record.

    Attributes:
        version: number of the promoted version; empty if it is not known.
        request_id: of the record; empty if it is not known.
        requested_us: time of the request in microseconds; None if it is not known.
        state: ``signed``; ``not signed``: from an earlier release, or from a program without a key; ``edited``: row,
            text, signature or tag do not belong together; ``missing``: another record or a tag names it, and no row has
            it.
        cause: what is wrong; empty for a signed one.
    """

    version: str
    request_id: str
    requested_us: int | None
    state: State
    cause: str = ""

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields; see ``moderation history``."""
        return asdict(self)


def check_records(
    records: Sequence[tuple[PromotionRecord, SignedRecord | None]], tags: Mapping[str, str], ring: KeyRing
) -> list[RecordCheck]:
    """Verify all records of a model.

    Args:
        records: rows of ``batch.promotions``, oldest first, with their signed texts.
        tags: tag ``moderation.promotion`` by version number.
        ring: public keys of this installation.

    Returns:
        One result for each row, then one for each missing record or edited tag.
    """
    checks = [_check(row, signed, ring) for row, signed in records]
    digests = {signed.digest for _, signed in records if signed is not None}
    return [*checks, *_missing_before(records, digests), *_missing_by_tag(records, tags, digests)]


def _check(row: PromotionRecord, signed: SignedRecord | None, ring: KeyRing) -> RecordCheck:
    def result(state: State, cause: str = "") -> RecordCheck:
        return RecordCheck(row.version, row.request_id, row.requested_us, state, cause)

    if signed is None:
        return result("not signed", "it has no signature")
    if signed.key_id not in ring.key_ids:
        return result("edited", f"key {signed.key_id} signed it, which is not among the keys of this installation")
    if not signed.is_valid(ring):
        return result("edited", "its text and its signature do not belong together")
    stated = json.loads(signed.record)
    different = [name for name, value in asdict(row).items() if stated.get(name) != value]
    if different:
        return result("edited", f"the row differs from its signed text in {', '.join(different)}")
    return result("signed")


def _missing_before(
    records: Sequence[tuple[PromotionRecord, SignedRecord | None]], digests: set[str]
) -> Iterator[RecordCheck]:
    for row, signed in records:
        if signed is not None and (after := _after(signed)) and after not in digests:
            cause = f"the record before that of version {row.version} ({row.request_id}) was removed or altered"
            yield RecordCheck("", "", None, "missing", cause)


def _missing_by_tag(
    records: Sequence[tuple[PromotionRecord, SignedRecord | None]], tags: Mapping[str, str], digests: set[str]
) -> Iterator[RecordCheck]:
    signatures = {signed.digest: signed.signature for _, signed in records if signed is not None}
    for version, value in sorted(tags.items(), key=lambda each: (len(each[0]), each[0])):
        stated = digest_of_tag(value)
        if stated is None:
            yield RecordCheck(version, "", None, "edited", f"tag {PROMOTION_TAG} of the version is not a record")
        elif stated[0] not in digests:
            yield RecordCheck(
                version, "", None, "missing", f"no row has the record in tag {PROMOTION_TAG} of the version"
            )
        elif signatures[stated[0]] != stated[1]:
            yield RecordCheck(version, "", None, "edited", f"tag {PROMOTION_TAG} of the version has another signature")


def _after(signed: SignedRecord) -> str:
    try:
        return str(json.loads(signed.record).get("after", ""))
    except (ValueError, AttributeError):
        return ""
