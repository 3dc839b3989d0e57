"""Register versions as if their gate had let them pass."""

from __future__ import annotations

from pathlib import Path

from moderation.adapters.registry import GateEvidence
from moderation.bootstrap import new_lexicon, registry
from moderation.settings import Settings


def register(folder: Path, settings: Settings, reason: str) -> tuple[str, bool]:
    """Register and certify a model folder; it becomes ``production`` if no version is.

    Returns:
        The version number, and whether it became ``production``.
    """
    models, lexicon, most = registry(settings), new_lexicon(settings), settings.model_max_bytes
    version = models.register(folder, lexicon, most, run_name="train", reason=reason)
    models.certify(version, lexicon, most, gate=GateEvidence("passed"))
    return version.version, models.ensure_alias("production", version)
