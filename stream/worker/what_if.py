"""Score single texts with the serving model for the HTTP API, without delaying the stream.

It has a lexicon of its own, so that the stream does not wait for its lock and its cached words are not evicted.
Not thread-safe; the view that calls it has one thread.
"""

from __future__ import annotations

from typing import Any

from moderation.scoring import MOST_REASONS, Kernel, reasons_many
from moderation.text import Lexicon
from stream.worker.messages import ServingModel

_MOST_CHUNKS = 20_000


class WhatIf:
    """Scores and explains single texts. The first call creates the lexicon."""

    def __init__(self) -> None:
        self._kernel: Kernel | None = None

    def answer(self, serving: ServingModel, text: str) -> dict[str, Any]:
        """Score a text with the serving model.

        Returns:
            ``score_ppm``, ``verdict``, ``reasons`` (the strongest tokens for removal), ``model_version``,
            ``policy_version``.
        """
        kernel = self._of(serving)
        score_ppm = kernel.score_one(text)
        return {
            "score_ppm": score_ppm,
            "verdict": serving.policy.verdict(score_ppm),
            "reasons": reasons_many(kernel, [text], MOST_REASONS)[0],
            "model_version": serving.model_version,
            "policy_version": serving.policy.policy_version,
        }

    def _of(self, serving: ServingModel) -> Kernel:
        weights = serving.kernel.weights
        if self._kernel is None or self._kernel.weights is not weights:
            lexicon = Lexicon(_MOST_CHUNKS) if self._kernel is None else self._kernel.lexicon
            self._kernel = Kernel(weights, lexicon)
        return self._kernel
