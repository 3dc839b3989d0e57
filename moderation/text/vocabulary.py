"""Features of tokens: the hash of the normal form and character n-grams, computed once for each token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import murmurhash3_32
from spacy.lang.en import lex_attrs
from spacy.lang.lex_attrs import like_url
from spacy.lookups import Table, load_lookups

from moderation.text.arrays import GrowingArray, ranges
from moderation.text.kernel_constants import (
    GRAM_BUCKETS,
    GRAM_SIZES,
    GRAM_TOKEN_CHARACTERS,
    NUMBER,
    PRONOUN,
    PRONOUNS,
    URL,
)

_PRIME = np.uint64(0x100000001B3)  # FNV-1a's 64-bit prime
_FINAL = np.uint64(0xBF58476D1CE4E5B9)  # splitmix64's first multiplier


_NUMBER_WORDS = frozenset((*lex_attrs._num_words, *lex_attrs._ordinal_words))


@cache
def _lemmas() -> Table:
    return load_lookups("en", ["lemma_lookup"]).get_table("lemma_lookup")


def is_url(token: str) -> bool:
    """Whether spaCy classifies the token as a URL."""
    return ("." in token or "://" in token) and bool(like_url(token))


def normal_form(token: str) -> str:
    """The normal form of a token: its lower-case lookup lemma, or a marker for URLs, numbers and pronouns."""
    lower = token.lower()
    if lower in PRONOUNS:
        return PRONOUN
    if is_url(token):
        return URL
    # spaCy compares number words with two lists, and checks more only for tokens with other characters than letters.
    if lower in _NUMBER_WORDS if token.isalpha() else lex_attrs.like_num(token):  # type: ignore[no-untyped-call]
        return NUMBER
    return str(_lemmas().get(lower, lower))


class Vocabulary:
    """Distinct tokens, numbered from 0 in order of first use.

    The numbers are for look-ups only: results do not depend on the order of tokens.
    """

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._tokens: list[str] = []
        self._hash = GrowingArray(np.uint64)
        self._gram_start = GrowingArray(np.int64)
        self._gram_start.extend(np.zeros(1, np.int64))
        self._gram_bucket = GrowingArray(np.int32)
        self._gram_count = GrowingArray(np.uint8)

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """Return the numbers of tokens; new tokens are added.

        Args:
            tokens: non-empty strings without lone surrogates.

        Returns:
            One number for each token.
        """
        ids = self._ids
        first_new = len(ids)
        numbers = [ids.setdefault(token, len(ids)) for token in tokens]
        if len(ids) > first_new:
            self._learn(_newest(ids, len(ids) - first_new))
        return numbers

    @property
    def tokens(self) -> Sequence[str]:
        """All tokens by number."""
        return self._tokens

    @property
    def word_hash(self) -> NDArray[np.uint64]:
        """32-bit MurmurHash3 of each token's normal form, shape (tokens,)."""
        return self._hash.view

    def grams(self, first: int) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8]]:
        """Character n-grams of the tokens from number ``first`` on, in compressed sparse rows.

        Returns:
            Row starts of shape (tokens + 1,) from 0; buckets, ascending within a row; occurrences.
        """
        start = self._gram_start.view[first:]
        return start - start[0], self._gram_bucket.view[start[0] :], self._gram_count.view[start[0] :]

    def grams_of(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8]]:
        """Character n-grams of some tokens, as :meth:`grams` returns them.

        Args:
            numbers: numbers of the tokens, shape (tokens,).
        """
        starts = self._gram_start.view
        lengths = starts[numbers + 1] - starts[numbers]
        positions = ranges(starts[numbers], lengths)
        start = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        return start, self._gram_bucket.view[positions], self._gram_count.view[positions]

    def adopt(self, other: Vocabulary, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Copy tokens of another vocabulary with their features.

        Args:
            other: the other vocabulary.
            numbers: numbers of the tokens in the other vocabulary, shape (tokens,).

        Returns:
            Their numbers in this vocabulary, shape (tokens,).
        """
        distinct, inverse = np.unique(numbers, return_inverse=True)
        tokens = [other._tokens[number] for number in distinct.tolist()]
        ids, first_new = self._ids, len(self._ids)
        own_numbers = np.array([ids.setdefault(token, len(ids)) for token in tokens], np.int64)
        new = distinct[own_numbers >= first_new]
        if len(new):
            self._tokens += [other._tokens[number] for number in new.tolist()]
            self._hash.extend(other._hash.view[new])
            starts = other._gram_start.view
            lengths = starts[new + 1] - starts[new]
            self._gram_start.extend(len(self._gram_bucket) + np.cumsum(lengths))
            grams = ranges(starts[new], lengths)
            self._gram_bucket.extend(other._gram_bucket.view[grams])
            self._gram_count.extend(other._gram_count.view[grams])
        return own_numbers[inverse]

    def _learn(self, tokens: list[str]) -> None:
        self._tokens += tokens
        hashes = [murmurhash3_32(normal_form(token), positive=True) for token in tokens]
        self._hash.extend(np.array(hashes, np.uint64))
        start, bucket, count = token_grams(tokens)
        self._gram_start.extend(start[1:] + len(self._gram_bucket))
        self._gram_bucket.extend(bucket)
        self._gram_count.extend(count)


def token_grams(tokens: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8]]:
    """Hash the character n-grams of the first characters of each token, lower case, between two spaces.

    Args:
        tokens: at least one token.

    Returns:
        Row starts of shape (tokens + 1,); buckets, ascending within a row; how often each occurs, capped at 255.
    """
    padded = [f" {token[:GRAM_TOKEN_CHARACTERS].lower()} " for token in tokens]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    lengths = np.array([len(text) for text in padded], np.int64)
    row = np.repeat(np.arange(len(tokens), dtype=np.int64), lengths)
    keys = []
    hashed = np.zeros(len(codes), np.uint64)
    for size in range(1, max(GRAM_SIZES) + 1):
        # Extend every window by its next character; windows that would leave their token are dropped.
        hashed = (hashed[: len(codes) - size + 1] ^ codes[size - 1 :]) * _PRIME
        if size in GRAM_SIZES and len(hashed):
            inside = row[: len(hashed)] == row[size - 1 :]
            mixed = (hashed ^ np.uint64(size)) * _FINAL
            bucket = (mixed >> np.uint64(33)).astype(np.int64) % GRAM_BUCKETS
            keys.append((row[: len(hashed)] * GRAM_BUCKETS + bucket)[inside])
    unique, counts = np.unique(np.concatenate(keys), return_counts=True)
    rows = np.bincount(unique // GRAM_BUCKETS, minlength=len(tokens))
    start = np.concatenate(([0], np.cumsum(rows)))
    return start, (unique % GRAM_BUCKETS).astype(np.int32), np.minimum(counts, 255).astype(np.uint8)


def _newest(ids: dict[str, int], count: int) -> list[str]:
    return list(islice(reversed(ids), count))[::-1]
