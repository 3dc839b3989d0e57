"""Encode texts as token numbers, with a bounded cache of the tokens of distinct chunks.

A cached chunk costs one look-up. The cache affects speed and memory only: the encoding of a text does not depend on
earlier texts.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from moderation.text.arrays import GrowingArray, ranges
from moderation.text.cleaning import clean
from moderation.text.kernel_constants import SHORT_CHUNK
from moderation.text.surface import COUNTS, chunk_counts, surface_features
from moderation.text.tokens import ChunkTokenizer
from moderation.text.vocabulary import Vocabulary

DEFAULT_MAX_CHUNKS = 400_000


@dataclass(frozen=True, slots=True)
class Encoded:
    """Encoded texts.

    Attributes:
        token: vocabulary numbers of all tokens, text after text, shape (tokens,).
        text: index of the text each token belongs to, ascending, shape (tokens,).
        surface: surface features, shape (texts, len(FEATURES)).
        vocabulary: tokens by number; valid until the lexicon evicts chunks.
    """

    token: NDArray[np.int64]
    text: NDArray[np.int64]
    surface: NDArray[np.float64]
    vocabulary: Vocabulary

    @property
    def texts(self) -> int:
        """Number of encoded texts."""
        return len(self.surface)


class Lexicon:
    """A cache of the tokens of distinct chunks.

    Thread-safe only under ``lock``, which must be held from ``encode`` until the last access to the vocabulary.

    Args:
        max_chunks: approximate maximum number of cached chunks; the least recently used are evicted. A chunk of more
            than 64 characters counts as several, so that the limit bounds memory.

    Attributes:
        lock: see above.
        lookups: number of looked up chunks.
        misses: number of those that were not cached.
    """

    def __init__(self, max_chunks: int = DEFAULT_MAX_CHUNKS) -> None:
        self.lock = threading.RLock()
        self._max_chunks = max_chunks
        self._tokenizer = ChunkTokenizer()
        self.lookups = 0
        self.misses = 0
        self._young = _Generation()
        self._old = _Generation()

    def __len__(self) -> int:
        """Number of cached chunks; one in both generations counts twice, because it takes memory twice."""
        return len(self._young.ids) + len(self._old.ids)

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of recently used chunks."""
        return self._young.vocabulary

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode texts.

        Args:
            texts: any strings; also empty ones, or with lone surrogates (read as U+FFFD).

        Returns:
            Tokens and surface features, text by text.
        """
        if self._young.weight > self._max_chunks // 2:
            # No computation or copying here, so that scoring is not delayed.
            self._old, self._young = self._young, _Generation()
        cleaned = [clean(text) for text in texts]
        chunks: list[str] = []
        ends: list[int] = []
        for text in cleaned:
            chunks += text.split()
            ends.append(len(chunks))
        young = self._young
        ids = np.fromiter(map(young.ids.get, chunks, repeat(-1)), np.int64, len(chunks))
        unknown = np.flatnonzero(ids < 0)
        if len(unknown):
            wanted = dict.fromkeys([chunks[index] for index in unknown])
            young.adopt(self._old, [chunk for chunk in wanted if chunk in self._old.ids])
            new = [chunk for chunk in wanted if chunk not in young.ids]
            young.learn(new, self._tokenizer.tokenize([_encodable(chunk) for chunk in new]))
            ids[unknown] = [young.ids[chunks[index]] for index in unknown]
            fresh = set(new)
            self.misses += sum(chunks[index] in fresh for index in unknown)
        self.lookups += len(ids)

        starts = np.array([0, *ends], np.int64)
        counts = young.counts.view
        sums = csr_array((np.ones(len(ids), np.int64), ids, starts), shape=(len(texts), len(counts))) @ counts
        line_breaks = np.array([text.count("\n") for text in cleaned], np.int64)

        token_counts = young.token_count.view[ids]
        owner = np.repeat(np.arange(len(texts)), np.diff(starts))
        position = ranges(young.token_start.view[ids], token_counts)
        return Encoded(
            token=young.tokens.view[position],
            text=np.repeat(owner, token_counts),
            surface=surface_features(sums.reshape(len(texts), len(COUNTS)), line_breaks),
            vocabulary=young.vocabulary,
        )

    def tokens_of(self, text: str) -> list[str]:
        """The tokens of one text after cleaning, as strings."""
        encoded = self.encode([text])
        tokens = self.vocabulary.tokens
        return [tokens[number] for number in encoded.token]


class _Generation:
    """One generation of the cache: chunks, their tokens and counts; append-only.

    A lexicon has two. Used chunks are in the young one, copied from the old one if they were there. A full young
    generation becomes the old one, and unused chunks of the former old one are evicted.
    """

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.weight = 0
        self.tokens = GrowingArray(np.int64)
        self.token_start = GrowingArray(np.int64)
        self.token_count = GrowingArray(np.int64)
        self.counts = GrowingArray(np.int64, (len(COUNTS),))
        self.vocabulary = Vocabulary()

    def learn(self, chunks: Sequence[str], tokenized: Sequence[Sequence[str]]) -> None:
        """Add new chunks with their tokens."""
        if not chunks:
            return
        numbers = self.vocabulary.ids([token for tokens in tokenized for token in tokens])
        sums: list[int] = []
        for chunk, tokens in zip(chunks, tokenized, strict=True):
            sums += chunk_counts(chunk, tokens)
        token_count = np.array([len(tokens) for tokens in tokenized], np.int64)
        self._add(chunks, np.array(numbers, np.int64), token_count, np.array(sums, np.int64).reshape(-1, len(COUNTS)))

    def adopt(self, other: _Generation, chunks: Sequence[str]) -> None:
        """Copy chunks from another generation."""
        if not chunks:
            return
        ids = np.array([other.ids[chunk] for chunk in chunks], np.int64)
        token_count = other.token_count.view[ids]
        tokens = other.tokens.view[ranges(other.token_start.view[ids], token_count)]
        self._add(chunks, self.vocabulary.adopt(other.vocabulary, tokens), token_count, other.counts.view[ids])

    def _add(
        self,
        chunks: Sequence[str],
        tokens: NDArray[np.int64],
        token_count: NDArray[np.int64],
        counts: NDArray[np.int64],
    ) -> None:
        self.token_start.extend(len(self.tokens) + np.cumsum(token_count) - token_count)
        self.tokens.extend(tokens)
        self.token_count.extend(token_count)
        self.counts.extend(counts)
        self.ids.update(zip(chunks, range(len(self.ids), len(self.ids) + len(chunks)), strict=True))
        self.weight += sum(1 + len(chunk) // SHORT_CHUNK for chunk in chunks)


def _encodable(chunk: str) -> str:
    if chunk.isascii():
        return chunk
    return chunk.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
