"""Signed records of promotions: the text of a request, signed by the batch layer with the key of certificates.

A record is a row of ``batch.promotions`` and tag ``moderation.promotion`` of its version. It contains the digest of the
record before it (``after``), so that a removed row is noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moderation.adapters.registry.certificate import PREFIX
from moderation.adapters.registry.keys import KeyRing, SigningKey

PROMOTION_TAG = PREFIX + "promotion"
"""Tag of a version: the signed record of its newest promotion."""
FORMAT = 1
_LABEL = b"moderation promotion 1\n"
_MOST_TAG_CHARACTERS = 5_000  # length of MLflow's column


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A record with its signature.

    Attributes:
        record: canonical JSON.
        key_id: of the key that signed it.
        signature: hexadecimal.
    """

    record: str
    key_id: str
    signature: str

    @classmethod
    def of(cls, fields: Mapping[str, Any], key: SigningKey) -> SignedRecord:
        """Sign the fields of a record; values are JSON scalars."""
        text = _canonical({"format": FORMAT, **fields})
        return cls(text, key.key_id, key.sign(_LABEL + text.encode()))

    @property
    def digest(self) -> str:
        """SHA-256 of the text, hexadecimal; the next record contains it."""
        return digest_of(self.record)

    def is_valid(self, ring: KeyRing) -> bool:
        """Whether a key of the ring signed exactly this text."""
        return ring.verify(self.key_id, self.signature, _LABEL + self.record.encode())

    def to_tag(self) -> str:
        """The value of ``PROMOTION_TAG``; a record that is too long for MLflow is represented by its digest."""
        signed = {"key_id": self.key_id, "signature": self.signature}
        value = _canonical({"record": self.record, **signed})
        return value if len(value) <= _MOST_TAG_CHARACTERS else _canonical({"digest": self.digest, **signed})


def digest_of_tag(value: str) -> tuple[str, str] | None:
    """Return the digest of the record in a tag, and its signature; None if the tag is malformed."""
    try:
        stated = json.loads(value)
        digest = digest_of(stated["record"]) if "record" in stated else stated["digest"]
        signature = stated["signature"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return (digest, signature) if isinstance(digest, str) and isinstance(signature, str) else None


def digest_of(record: str) -> str:
    """SHA-256 of the text of a record, hexadecimal."""
    return hashlib.sha256(record.encode()).hexdigest()


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
