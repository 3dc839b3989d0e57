"""A version of the registered model, and the names of its tags and aliases."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from moderation.adapters.override import Override, override_in_effect
from moderation.adapters.registry.certificate import FACTS, PREFIX, ModelFacts, is_certified
from moderation.timestamps import now_us

PRODUCTION, PREVIOUS, CHALLENGER = "production", "previous", "challenger"
"""Aliases: the serving version, the one that served before, and the one that waits for approval."""
GATE_TAG, GATE_REASONS_TAG = PREFIX + "gate", PREFIX + "gate_reasons"
GOALS_LOWERED_TAG = PREFIX + "goals_lowered"
"""Tag of a version: goals that its training could not meet, and what its policy meets instead."""
PROMOTED_TAG = PREFIX + "promoted"
"""Tag of the registered model: the version that this project promoted last. A manual change moves only aliases."""
OVERRIDE_TAG, OVERRIDE_ENDED_TAG = PREFIX + "override", PREFIX + "override_ended"
"""Tags with an operator's reason to serve a version without certificate, and its end; and of one that was ended."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of the registered model.

    Attributes:
        name: the registered model.
        version: version number, as text.
        run_id: the MLflow run that logged it; empty without one.
        model_digest: SHA-256 of ``model.skops``, hexadecimal, from the tags of the version; empty without the tag.
        card_digest: SHA-256 of ``model.json``, which contains the digests of all other files; likewise.
    """

    name: str
    version: str
    run_id: str
    model_digest: str
    card_digest: str

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


def overridden(name: str, number: str, tags: Mapping[str, str]) -> ModelFacts | None:
    """Return the facts in the tags of a version without certificate that has, or had, an override; else None.

    Reconciliation scores what a version decided under an override again, after its end too.
    """
    if is_certified(tags) or not any(tags.get(name, "").strip() for name in (OVERRIDE_TAG, OVERRIDE_ENDED_TAG)):
        return None
    stated = {fact: tags.get(PREFIX + fact, "") for fact in FACTS}
    return ModelFacts(**{**stated, "model_name": name, "version": number})


def override_to_serve(name: str, number: str, tags: Mapping[str, str], *, is_allowed: bool) -> Override | None:
    """Return the override by which a version may serve now; None if it has a certificate or no override.

    It is logged as a warning.

    Raises:
        ModelRefused: it has an override that is malformed, has ended or is forbidden.
    """
    if is_certified(tags) or not (value := tags.get(OVERRIDE_TAG, "").strip()):
        return None
    thing = f"{name} version {number}"
    override = override_in_effect(thing, value, now_us(), is_allowed=is_allowed)
    _log.warning("%s has no certificate; it is opened by override: %s", thing, override)
    return override
