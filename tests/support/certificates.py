"""Certificates of format 1, as releases before format 2 signed them."""

from __future__ import annotations

import json

from moderation.adapters.registry import certificate_1
from moderation.adapters.registry.certificate import FACTS, ModelFacts


def format_1_tags(facts: ModelFacts, key: bytes) -> dict[str, str]:
    """Return all tags of a version that a former release certified."""
    text = json.dumps({name: getattr(facts, name) for name in FACTS}, sort_keys=True, separators=(",", ":"))
    return {
        **facts.readable_tags(),
        certificate_1.KEY_ID_TAG: certificate_1.key_id(key),
        certificate_1.CERTIFICATE_TAG: text,
        certificate_1.SIGNATURE_TAG: certificate_1.signature_of(text, key),
    }
