"""The kernel: the scoring function that worker, batch and serving share.

``score_many`` is the implementation; ``score_one(x)`` is ``score_many([x])[0]``. For a model of weights w and bias b
over the blocks of ``text.blocks``, logit = b + w·x and score_ppm = round(1,000,000 / (1 + e^-logit)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from moderation.errors import ModelRefused
from moderation.text.arrays import GrowingArray
from moderation.text.blocks import (
    Floats,
    Ints,
    gram_vectors,
    surface_values,
    token_weights,
    unseen_buckets,
    unseen_shares,
    word_entries,
    word_values,
)
from moderation.text.features import slices
from moderation.text.kernel_constants import GRAM_BUCKETS, WORD_BUCKETS
from moderation.text.lexicon import Encoded, Lexicon
from moderation.text.surface import FEATURES
from moderation.text.vocabulary import Vocabulary

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class LinearWeights:
    """The weights of a fitted model by block; coefficients include the factor of their block.

    The constructor raises ``ModelRefused`` if an array has another shape or contains a value that is not finite.

    Attributes:
        intercept: the bias b.
        word_idf, word_coef: shape (WORD_BUCKETS,).
        gram_idf, gram_coef: shape (GRAM_BUCKETS,).
        surface_mean, surface_scale, surface_coef: shape (len(FEATURES),).
    """

    intercept: float
    word_idf: Floats
    word_coef: Floats
    gram_idf: Floats
    gram_coef: Floats
    surface_mean: Floats
    surface_scale: Floats
    surface_coef: Floats

    def __post_init__(self) -> None:
        sizes = {"word": WORD_BUCKETS, "gram": GRAM_BUCKETS, "surface": len(FEATURES), "intercept": 1}
        for name in self.__slots__:
            values = np.atleast_1d(getattr(self, name))
            size = sizes[name.split("_")[0]]
            if values.shape != (size,) or values.dtype != np.float64 or not np.isfinite(values).all():
                raise ModelRefused("model", f"{name} is not {size} finite numbers", "Train the model again.")


class Kernel:
    """Scores texts with one model. Thread-safe.

    Args:
        weights: weights of the fitted model.
        lexicon: token cache, which the kernels of a process may share so that a new model starts with a warm cache.
    """

    def __init__(self, weights: LinearWeights, lexicon: Lexicon) -> None:
        self.weights = weights
        self.lexicon = lexicon
        self._vocabulary: Vocabulary | None = None
        self._token_gram = GrowingArray(np.float64)

    def score_one(self, text: str) -> int:
        """Score one text, in parts per million."""
        return int(self.score_many([text])[0])

    def score_many(self, texts: Sequence[str]) -> Ints:
        """Score texts.

        Args:
            texts: any strings, cleaned or not.

        Returns:
            Integer scores in parts per million, shape (texts,). The score of a text does not depend on other
            texts of the call, on their order, on earlier calls, or on the process.
        """
        return np.rint(PPM * self.probabilities(texts)).astype(np.int64)

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Probability of removal of each text, in [0, 1], shape (texts,)."""
        # scipy's expit evaluates element by element; numpy's exp may differ between body and tail of an array.
        return np.asarray(expit(self.logits(texts)))

    def logits(self, texts: Sequence[str]) -> Floats:
        """Log-odds of removal of each text, shape (texts,)."""
        parts = []
        for part in slices(texts):
            with self.lexicon.lock:
                parts.append(self._logits(self.lexicon.encode(part)))
        return np.concatenate(parts) if parts else np.zeros(0)

    def unseen_shares(self, texts: Sequence[str], fitted_on: int) -> Floats:
        """Share of distinct words and word pairs of each text that the training texts lack, shape (texts,).

        Words and pairs are the hashed features of ``text.blocks``: one that shares a bucket with a seen one counts as
        seen.

        Args:
            texts: any strings.
            fitted_on: number of texts the model was fitted on.
        """
        unseen = unseen_buckets(self.weights.word_idf, fitted_on)
        parts = []
        for part in slices(texts):
            with self.lexicon.lock:
                parts.append(unseen_shares(self.lexicon.encode(part), unseen))
        return np.concatenate(parts) if parts else np.zeros(0)

    def _logits(self, encoded: Encoded) -> Floats:
        weights = self.weights
        entries = word_entries(encoded)
        words = word_values(entries, weights.word_idf, encoded.texts) * weights.word_coef[entries.bucket]
        grams = token_weights(encoded, weights.word_idf) * self.token_gram(encoded.vocabulary)[encoded.token]
        logit = np.full(encoded.texts, weights.intercept)
        logit += np.bincount(entries.text, words, encoded.texts)
        logit += np.bincount(encoded.text, grams, encoded.texts)
        surface = surface_values(encoded, weights.surface_mean, weights.surface_scale) * weights.surface_coef
        for column in surface.T:  # not a matrix product: BLAS may sum in another order for another batch size
            logit += column
        return logit

    def token_gram(self, vocabulary: Vocabulary) -> Floats:
        """Contribution of the character n-grams of each token to the logit at weight 1, shape (tokens,).

        Computed once for each token. The caller holds the lock of the lexicon.
        """
        if vocabulary is not self._vocabulary:
            self._vocabulary = vocabulary
            self._token_gram = GrowingArray(np.float64)
        cached = len(self._token_gram)
        if len(vocabulary) > cached:
            vectors = gram_vectors(vocabulary, cached, self.weights.gram_idf)
            self._token_gram.extend(vectors @ self.weights.gram_coef)
        return self._token_gram.view
