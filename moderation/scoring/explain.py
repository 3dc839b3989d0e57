"""Explain scores: split the logit into contributions of tokens and surface features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import expit

from moderation.scoring.kernel import PPM, Kernel
from moderation.text.blocks import (
    Floats,
    Ints,
    pair_buckets,
    surface_values,
    token_buckets,
    token_weights,
    word_entries,
    word_values,
)
from moderation.text.features import slices
from moderation.text.kernel_constants import WORD_BUCKETS
from moderation.text.lexicon import Encoded
from moderation.text.surface import FEATURES

MOST_REASONS = 3
"""Maximum number of tokens that a decision names as its reasons."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """A named contribution to the logit (log-odds); positive values favour removal."""

    name: str
    logit: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The contributions to a score.

    logit = intercept + Σ tokens + Σ surface, up to rounding (1e-9), and score_ppm is the kernel's own.

    Attributes:
        score_ppm: the score in parts per million.
        logit: log-odds of removal.
        intercept: intercept of the model.
        tokens: one part for each token of the cleaned text, in order: its word, half of each pair it belongs to, and
            its character n-grams.
        surface: one part for each surface feature.
    """

    score_ppm: int
    logit: float
    intercept: float
    tokens: tuple[Contribution, ...]
    surface: tuple[Contribution, ...]

    def reasons(self, most: int = 5) -> list[Contribution]:
        """The tokens with the largest contributions to removal, strongest first; equal tokens are summed."""
        return _strongest([token.name for token in self.tokens], [token.logit for token in self.tokens], most)


def explain(kernel: Kernel, text: str) -> Explanation:
    """Explain the score of one text.

    Args:
        kernel: the model.
        text: any string.

    Returns:
        The contributions to its logit.
    """
    weights = kernel.weights
    with kernel.lexicon.lock:
        encoded = kernel.lexicon.encode([text])
        parts = _token_parts(kernel, encoded)
        names = encoded.vocabulary.tokens
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


def reasons_many(kernel: Kernel, texts: Sequence[str], most: int = 3) -> list[list[str]]:
    """Return the strongest tokens of each text, as ``Explanation.reasons`` does.

    Args:
        kernel: the model.
        texts: any strings.
        most: maximum number of tokens.
    """
    reasons: list[list[str]] = []
    for part in slices(texts):
        with kernel.lexicon.lock:
            encoded = kernel.lexicon.encode(part)
            logits = _token_parts(kernel, encoded).tolist()
            tokens = encoded.vocabulary.tokens
            names = [tokens[number] for number in encoded.token.tolist()]
        ends = np.searchsorted(encoded.text, np.arange(len(part) + 1)).tolist()
        for start, end in pairwise(ends):
            reasons.append([reason.name for reason in _strongest(names[start:end], logits[start:end], most)])
    return reasons


def decision_reasons(kernel: Kernel, texts: Sequence[str]) -> list[list[str]]:
    """Return the reasons of decisions on texts, as worker and batch store and compare them: :func:`reasons_many`."""
    return list(map(storable_reasons, reasons_many(kernel, texts, MOST_REASONS)))


def storable_reasons(reasons: list[str]) -> list[str]:
    """Remove NUL, which cleaning makes of ``<U+0000>``, from tokens: PostgreSQL's jsonb cannot store it."""
    if not any("\0" in reason for reason in reasons):
        return reasons
    return [stripped for reason in reasons if (stripped := reason.replace("\0", ""))]


def _strongest(names: list[str], logits: list[float], most: int) -> list[Contribution]:
    sums: dict[str, float] = {}
    for name, logit in zip(names, logits, strict=True):
        lower = name.lower()
        sums[lower] = sums.get(lower, 0.0) + logit
    positive = sorted([(-logit, name) for name, logit in sums.items() if logit > 0])
    return [Contribution(name, -minus) for minus, name in positive[:most]]


def _token_parts(kernel: Kernel, encoded: Encoded) -> Floats:
    """Contribution of every token to the logit of its text: its word, half of each of its pairs, its n-grams."""
    weights = kernel.weights
    entries = word_entries(encoded)
    values = word_values(entries, weights.word_idf, encoded.texts) * weights.word_coef[entries.bucket]
    keys = entries.text * WORD_BUCKETS + entries.bucket

    def share(text: Ints, buckets: Ints) -> Floats:
        """The contribution of an entry, divided by its occurrences."""
        entry = np.searchsorted(keys, text * WORD_BUCKETS + buckets)
        return values[entry] / entries.count[entry]

    parts = token_weights(encoded, weights.word_idf) * kernel.token_gram(encoded.vocabulary)[encoded.token]
    if len(parts):
        parts += share(encoded.text, token_buckets(encoded))
        first, pairs = pair_buckets(encoded)
        half = share(encoded.text[first], pairs) / 2
        parts[first] += half
        parts[first + 1] += half
    return parts
