"""The scikit-learn transformer from texts to weighted sparse feature vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, get_index_dtype, hstack, vstack
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from moderation.text.blocks import gram_vectors_of, surface_values, token_weights, word_entries, word_values
from moderation.text.kernel_constants import GRAM_BUCKETS, KERNEL_VERSION, WORD_BUCKETS
from moderation.text.lexicon import Encoded, Lexicon
from moderation.text.surface import FEATURES

SLICE_TEXTS = 500
SLICE_CHARACTERS = 1_000_000
FEATURE_COUNT = WORD_BUCKETS + GRAM_BUCKETS + len(FEATURES)


class CommentFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Hashed word n-grams with TF-IDF, character n-grams of tokens, and surface features.

    Args:
        word_weight: factor of the word block; the blocks share one regularisation, so factors weight them.
        gram_weight: factor of the gram block.
        surface_weight: factor of the surface block.

    Attributes:
        word_idf_: log((1 + texts) / (1 + texts with the bucket)) + 1, shape (WORD_BUCKETS,).
        gram_idf_: the same for character n-grams, shape (GRAM_BUCKETS,).
        surface_mean_: shape (len(FEATURES),).
        surface_scale_: standard deviations, 1 where a feature is constant, shape (len(FEATURES),).
        kernel_version_: the ``KERNEL_VERSION`` fitted under.
    """

    def __init__(self, word_weight: float = 1.5, gram_weight: float = 0.7, surface_weight: float = 0.1) -> None:
        self.word_weight = word_weight
        self.gram_weight = gram_weight
        self.surface_weight = surface_weight

    @property
    def lexicon(self) -> Lexicon:
        """The lexicon in use; created on first access unless :meth:`use` set one."""
        if getattr(self, "_lexicon", None) is None:
            self._lexicon = Lexicon()
        return self._lexicon

    def use(self, lexicon: Lexicon) -> Self:
        """Share a lexicon with other estimators of this process; it affects speed and memory only."""
        self._lexicon = lexicon
        return self

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        state.pop("_lexicon", None)
        return state

    def fit(self, texts: Sequence[str], y: object = None) -> Self:
        """Learn document frequencies and the surface features' scale.

        Args:
            texts: comments' bodies, at least one.
            y: ignored.
        """
        self._learn(texts)
        return self

    def fit_transform(self, texts: Sequence[str], y: object = None) -> csr_array:
        """Return the same as ``fit(texts).transform(texts)``; only one copy of the result is ever in memory.

        Args:
            texts: comments' bodies, at least one.
            y: ignored.
        """
        entries = self._learn(texts)
        index_type = get_index_dtype(maxval=max(entries, FEATURE_COUNT))
        data, column = np.empty(entries), np.empty(entries, index_type)
        start = np.zeros(len(texts) + 1, index_type)  # of the same type, or csr_array would copy the columns
        row = used = 0
        with self.lexicon.lock:
            for encoded in self._encoded(texts):
                block = self._weighted(encoded)
                data[used : used + block.nnz] = block.data
                column[used : used + block.nnz] = block.indices
                start[row + 1 : row + 1 + encoded.texts] = used + block.indptr[1:]
                row, used = row + encoded.texts, used + block.nnz
        return csr_array((data[:used], column[:used], start), shape=(len(texts), FEATURE_COUNT))

    def _learn(self, texts: Sequence[str]) -> int:
        """Fit, and return the number of entries of the transformed texts at most."""
        words = np.zeros(WORD_BUCKETS, np.int64)
        grams = np.zeros(GRAM_BUCKETS, np.int64)
        surface = []
        entries = 0
        with self.lexicon.lock:
            for encoded in self._encoded(texts):
                of_words, of_grams = word_entries(encoded).bucket, _gram_entries(encoded)
                words += np.bincount(of_words, minlength=WORD_BUCKETS)
                grams += np.bincount(of_grams, minlength=GRAM_BUCKETS)
                surface.append(encoded.surface)
                entries += len(of_words) + len(of_grams) + encoded.surface.size
        total = len(texts)
        self.word_idf_ = np.log((1 + total) / (1 + words)) + 1
        self.gram_idf_ = np.log((1 + total) / (1 + grams)) + 1
        features = np.concatenate(surface)
        self.surface_mean_ = features.mean(axis=0)
        deviation = features.std(axis=0)
        self.surface_scale_ = np.where(deviation > 0, deviation, 1.0)
        self.kernel_version_ = KERNEL_VERSION
        return entries

    def transform(self, texts: Sequence[str]) -> csr_array:
        """Weigh the features of texts.

        Args:
            texts: comments' bodies.

        Returns:
            Shape (texts, FEATURE_COUNT): the word block, the gram block, the surface block.

        Raises:
            sklearn.exceptions.NotFittedError: ``fit`` was not called.
        """
        check_is_fitted(self)
        with self.lexicon.lock:
            blocks = [self._weighted(encoded) for encoded in self._encoded(texts)]
        return vstack(blocks, format="csr") if blocks else csr_array((0, FEATURE_COUNT))

    def _weighted(self, encoded: Encoded) -> csr_array:
        entries = word_entries(encoded)
        values = word_values(entries, self.word_idf_, encoded.texts)
        words = csr_array((values, (entries.text, entries.bucket)), shape=(encoded.texts, WORD_BUCKETS))
        distinct, column = np.unique(encoded.token, return_inverse=True)
        weights = token_weights(encoded, self.word_idf_)
        tokens = csr_array((weights, (encoded.text, column)), shape=(encoded.texts, len(distinct)))
        grams = tokens @ gram_vectors_of(encoded.vocabulary, distinct, self.gram_idf_)
        surface = csr_array(surface_values(encoded, self.surface_mean_, self.surface_scale_))
        scaled = (self.word_weight * words, self.gram_weight * grams, self.surface_weight * surface)
        return hstack(scaled, format="csr")

    def _encoded(self, texts: Sequence[str]) -> Iterator[Encoded]:
        for part in slices(texts):
            yield self.lexicon.encode(part)


def slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Divide texts into slices of bounded memory: at most SLICE_TEXTS texts and about SLICE_CHARACTERS characters."""
    first = characters = 0
    for index, text in enumerate(texts):
        characters += len(text)
        if index + 1 - first >= SLICE_TEXTS or characters >= SLICE_CHARACTERS:
            yield texts[first : index + 1]
            first, characters = index + 1, 0
    if first < len(texts):
        yield texts[first:]


def _gram_entries(encoded: Encoded) -> NDArray[np.int32]:
    """Gram buckets present in texts, one entry per distinct (text, bucket)."""
    distinct, column = np.unique(encoded.token, return_inverse=True)
    start, bucket, _ = encoded.vocabulary.grams_of(distinct)
    has = csr_array((np.ones(len(bucket), np.int8), bucket, start), shape=(len(distinct), GRAM_BUCKETS))
    ones = np.ones(len(column), np.int64)
    tokens = csr_array((ones, (encoded.text, column)), shape=(encoded.texts, len(distinct)))
    buckets: NDArray[np.int32] = (tokens @ has).tocsr().indices
    return buckets
