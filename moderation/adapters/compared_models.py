"""Models that are fitted already, for a comparison: registered versions, and model folders."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from numpy.typing import NDArray

from moderation.adapters.model_folder.folder import OpenModel, open_model
from moderation.errors import ModelRefused, NotInRegistry
from moderation.text import Lexicon
from moderation.training.benchmark.baselines import ModelSpec
from moderation.training.metrics import Floats
from moderation.training.seen_texts import FILE as SEEN_TEXTS
from moderation.training.seen_texts import SeenTexts

if TYPE_CHECKING:
    import numpy as np

    from moderation.adapters.registry import ModelVersion, Registry


class FittedModel:
    """A verified model that scores as it is.

    Args:
        opened: the model.
    """

    def __init__(self, opened: OpenModel) -> None:
        self._kernel = opened.kernel

    def fit(self, texts: Sequence[str], y: NDArray[np.int64]) -> Self:
        """Change nothing: the model is fitted."""
        return self

    def decision_function(self, texts: Sequence[str]) -> Floats:
        """Calibrated log-odds of removal, shape (texts,)."""
        return self._kernel.logits(texts)


def folder_model(folder: Path, lexicon: Lexicon, max_bytes: int) -> ModelSpec:
    """Verify and open a folder of ``moderation train``.

    Args:
        folder: the model folder.
        lexicon: shared lexicon of the process.
        max_bytes: size limit of a file.

    Raises:
        ModelRefused: something does not verify; the message names it.
    """
    opened = open_model(folder, lexicon, max_bytes)
    content = None
    with contextlib.suppress(FileNotFoundError):
        content = (folder / SEEN_TEXTS).read_bytes()
    return _spec(f"model folder {folder.name}", opened, content)


def registered_model(
    models: Registry, version: ModelVersion, lexicon: Lexicon, max_bytes: int, cache: Path
) -> ModelSpec:
    """Download, verify and open a registered version; it needs no certificate, because it decides nothing.

    Args:
        models: registry of the model.
        version: the version.
        lexicon: shared lexicon of the process.
        max_bytes: size limit of a file.
        cache: folder of downloaded models.

    Raises:
        ModelRefused: something does not verify; the message names it.
        RegistryUnavailable: the registry does not answer.
    """
    if not version.card_digest:
        raise ModelRefused(
            str(version), "its tags contain no digests, so it was not registered by this project", "Name another one."
        )
    opened = open_model(models.fetch(version, cache, max_bytes), lexicon, max_bytes)
    content = None
    if version.run_id:
        with contextlib.suppress(NotInRegistry):  # its run was deleted, or an earlier release registered it
            content = models.run_artifacts.read(version.run_id, SEEN_TEXTS)
    return _spec(str(version), opened, content)


def _spec(title: str, opened: OpenModel, seen_texts: bytes | None) -> ModelSpec:
    training = opened.card["training"]
    seen = None
    if seen_texts is not None and "seen_texts_sha256" in training:
        seen = SeenTexts.from_bytes(seen_texts, training["seen_texts_sha256"])
    texts = "unknown texts" if seen is None else f"{len(seen.digests):,} texts"
    recipe = f"fitted before on {texts}, model digest {opened.model_digest[:12]}"
    return ModelSpec(title, title, recipe, lambda: FittedModel(opened), is_fitted=True, seen=seen)
