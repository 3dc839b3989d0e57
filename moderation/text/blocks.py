"""The three blocks of the feature vector of a comment, shared by training and scoring.

    words     hashed 1-grams and 2-grams of normal forms: (1 + log tf)·idf, L2-normalised per text (TF-IDF)
    grams     character n-grams: every token t has a unit vector u(t) of idf-weighted n-grams, and a text is
              Σ idf(t)·u(t) / sqrt(Σ idf(t)²) over its tokens. Linear in tokens, so a linear model's product with u(t)
              is one number for each distinct token.
    surface   sixteen standardised features

The order of every sum depends on the text only, so the values of a text have the same bits in any batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from moderation.text.kernel_constants import GRAM_BUCKETS, WORD_BUCKETS
from moderation.text.lexicon import Encoded
from moderation.text.surface import log1p_counts
from moderation.text.vocabulary import Vocabulary

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEFT = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio
_RIGHT = np.uint64(0xC2B2AE3D27D4EB4F)  # xxHash64's second prime
_FINAL = np.uint64(0xBF58476D1CE4E5B9)  # splitmix64's first multiplier


@dataclass(frozen=True, slots=True)
class WordEntries:
    """Word features present in texts, one entry per distinct (text, bucket), ordered by both.

    Attributes:
        text: index of the text, shape (entries,).
        bucket: word bucket in [0, WORD_BUCKETS), shape (entries,).
        count: occurrences in the text, shape (entries,).
    """

    text: Ints
    bucket: Ints
    count: Ints


def token_buckets(encoded: Encoded) -> Ints:
    """Word bucket of every token's 1-gram, shape (tokens,)."""
    hashes = encoded.vocabulary.word_hash[encoded.token]
    return (hashes % np.uint64(WORD_BUCKETS)).astype(np.int64)


def pair_buckets(encoded: Encoded) -> tuple[Ints, Ints]:
    """Word buckets of the 2-grams.

    Returns:
        Position of each pair's first token, and the pair's bucket; pairs do not cross texts.
    """
    first = np.flatnonzero(encoded.text[1:] == encoded.text[:-1])
    hashes = encoded.vocabulary.word_hash[encoded.token]
    mixed = hashes[first] * _LEFT ^ hashes[first + 1] * _RIGHT
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _FINAL
    return first, ((mixed >> np.uint64(32)) % np.uint64(WORD_BUCKETS)).astype(np.int64)


def word_entries(encoded: Encoded) -> WordEntries:
    """Count the word features of texts."""
    first, pairs = pair_buckets(encoded)
    text = np.concatenate((encoded.text, encoded.text[first]))
    keys = text * WORD_BUCKETS + np.concatenate((token_buckets(encoded), pairs))
    keys.sort()
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))) if len(keys) else np.zeros(0, np.int64)
    distinct = keys[starts]
    counts = np.diff(np.append(starts, len(keys)))
    return WordEntries(distinct // WORD_BUCKETS, distinct % WORD_BUCKETS, counts)


def word_values(entries: WordEntries, idf: Floats, texts: int) -> Floats:
    """TF-IDF of word entries: (1 + log count)·idf, each text's values to length 1.

    Equals ``sklearn.feature_extraction.text.TfidfTransformer(sublinear_tf=True)`` on the counts.

    Args:
        entries: from :func:`word_entries`.
        idf: shape (WORD_BUCKETS,).
        texts: number of texts of the entries.

    Returns:
        One value per entry.
    """
    # 1 + log(n) = 1 + log(1 + (n - 1)): the same look-up as everywhere.
    values = (1.0 + log1p_counts(entries.count - 1)) * idf[entries.bucket]
    lengths = np.sqrt(np.bincount(entries.text, values * values, texts))
    return values / lengths[entries.text]


def unseen_buckets(idf: Floats, texts: int) -> NDArray[np.bool_]:
    """Word buckets that occur in none of the texts of the inverse document frequencies.

    Args:
        idf: log((1 + texts) / (1 + texts with the bucket)) + 1, shape (WORD_BUCKETS,).
        texts: number of texts that it was computed on.

    Returns:
        Shape (WORD_BUCKETS,).
    """
    nowhere, in_one = np.log1p(texts) + 1, np.log((1 + texts) / 2) + 1
    return np.asarray(idf > (nowhere + in_one) / 2)


def unseen_shares(encoded: Encoded, unseen: NDArray[np.bool_]) -> Floats:
    """Share of unseen features among the distinct word features of each text; 0 without any, shape (texts,)."""
    entries = word_entries(encoded)
    features = np.bincount(entries.text, minlength=encoded.texts)
    return np.bincount(entries.text, unseen[entries.bucket], encoded.texts) / np.maximum(features, 1)


def token_weights(encoded: Encoded, idf: Floats) -> Floats:
    """Weight of every token in its text's gram block: idf(t) / sqrt(Σ idf²), shape (tokens,)."""
    weights = idf[token_buckets(encoded)]
    lengths = np.sqrt(np.bincount(encoded.text, weights * weights, encoded.texts))
    return weights / lengths[encoded.text]


def gram_vectors(vocabulary: Vocabulary, first: int, gram_idf: Floats) -> csr_array:
    """Unit vectors of character n-grams of the tokens from number ``first`` on, shape (tokens, GRAM_BUCKETS)."""
    return _unit_vectors(*vocabulary.grams(first), gram_idf)


def gram_vectors_of(vocabulary: Vocabulary, numbers: Ints, gram_idf: Floats) -> csr_array:
    """Unit vectors of character n-grams of the tokens with these numbers, shape (tokens, GRAM_BUCKETS)."""
    return _unit_vectors(*vocabulary.grams_of(numbers), gram_idf)


def _unit_vectors(start: Ints, bucket: NDArray[np.int32], count: NDArray[np.uint8], gram_idf: Floats) -> csr_array:
    values = count * gram_idf[bucket]
    row = np.repeat(np.arange(len(start) - 1), np.diff(start))
    lengths = np.sqrt(np.bincount(row, values * values, len(start) - 1))
    return csr_array((values / lengths[row], bucket, start), shape=(len(start) - 1, GRAM_BUCKETS))


def surface_values(encoded: Encoded, mean: Floats, scale: Floats) -> Floats:
    """Standardised surface features, shape (texts, len(FEATURES))."""
    return (encoded.surface - mean) / scale
