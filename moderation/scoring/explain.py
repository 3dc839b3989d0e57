"""Why a comment scores as it does: every part of the logit, token by token. The parts sum to the logit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from moderation.scoring.kernel import PPM, Kernel
from moderation.text.blocks import (
    Floats,
    Ints,
    WordEntries,
    pair_buckets,
    surface_values,
    token_buckets,
    token_weights,
    word_entries,
    word_values,
)
from moderation.text.lexicon import Encoded
from moderation.text.surface import FEATURES


@dataclass(frozen=True, slots=True)
class Contribution:
    """A named part and what it adds to the logit (log-odds); positive speaks for removal."""

    name: str
    logit: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A score taken apart.

    logit = intercept + Σ tokens + Σ surface, up to rounding (1e-9), and score_ppm is the kernel's own.

    Attributes:
        score_ppm: the score in parts per million.
        logit: log-odds of removal.
        intercept: what the model says of no text at all.
        tokens: one part per token of the cleaned text, in order: its word, half of each pair it belongs to, and
            its character n-grams.
        surface: one part per surface feature.
    """

    score_ppm: int
    logit: float
    intercept: float
    tokens: tuple[Contribution, ...]
    surface: tuple[Contribution, ...]

    def reasons(self, most: int = 5) -> list[Contribution]:
        """The tokens that speak for removal most, strongest first, equal tokens together."""
        sums: dict[str, float] = {}
        for token in self.tokens:
            name = token.name.lower()
            sums[name] = sums.get(name, 0.0) + token.logit
        strongest = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
        return [Contribution(name, logit) for name, logit in strongest[:most] if logit > 0]


def explain(kernel: Kernel, text: str) -> Explanation:
    """Explain one text's score.

    Args:
        kernel: the model.
        text: any string.

    Returns:
        The parts of its logit.
    """
    weights = kernel.weights
    with kernel.lexicon.lock:
        encoded = kernel.lexicon.encode([text])
        entries = word_entries(encoded)
        values = word_values(entries, weights.word_idf, 1) * weights.word_coef[entries.bucket]
        parts = _word_parts(encoded, entries, values)
        parts += token_weights(encoded, weights.word_idf) * kernel.token_gram(encoded.vocabulary)[encoded.token]
        names = encoded.vocabulary.tokens()
        tokens = tuple(
            Contribution(names[token], part) for token, part in zip(encoded.token.tolist(), parts.tolist(), strict=True)
        )
        surface = (surface_values(encoded, weights.surface_mean, weights.surface_scale) * weights.surface_coef)[0]
        logit = float(kernel.logits([text])[0])
    return Explanation(
        score_ppm=int(np.rint(PPM * expit(logit))),
        logit=logit,
        intercept=weights.intercept,
        tokens=tokens,
        surface=tuple(Contribution(name, part) for name, part in zip(FEATURES, surface.tolist(), strict=True)),
    )


def _word_parts(encoded: Encoded, entries: WordEntries, values: Floats) -> Floats:
    """Share every entry's contribution among its occurrences; a pair's goes half to each of its tokens."""

    def share(buckets: Ints) -> Floats:
        entry = np.searchsorted(entries.bucket, buckets)
        return values[entry] / entries.count[entry]

    parts = np.zeros(len(encoded.token))
    if len(parts):
        parts += share(token_buckets(encoded))
        first, pairs = pair_buckets(encoded)
        half = share(pairs) / 2
        parts[first] += half
        parts[first + 1] += half
    return parts
