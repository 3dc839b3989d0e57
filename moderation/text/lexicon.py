"""From texts to numbers: tokens of every distinct chunk are worked out once and remembered, within a bound.

A look-up per chunk is all that a text of known chunks costs. What is remembered changes speed and memory only:
the encoding of a text never depends on what was seen before.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from moderation.text.cleaning import clean
from moderation.text.growing import GrowingArray, ranges
from moderation.text.law import SHORT_CHUNK
from moderation.text.surface import COUNTS, chunk_counts, surface_features
from moderation.text.tokens import ChunkTokenizer
from moderation.text.vocabulary import Vocabulary

DEFAULT_MAX_CHUNKS = 400_000


@dataclass(frozen=True, slots=True)
class Encoded:
    """Texts as numbers.

    Attributes:
        token: vocabulary numbers of all tokens, text after text, shape (tokens,).
        text: index of the text each token belongs to, ascending, shape (tokens,).
        surface: surface features, shape (texts, len(FEATURES)).
        vocabulary: what the numbers mean; valid until the lexicon forgets.
    """

    token: NDArray[np.int64]
    text: NDArray[np.int64]
    surface: NDArray[np.float64]
    vocabulary: Vocabulary

    @property
    def texts(self) -> int:
        """How many texts were encoded."""
        return len(self.surface)


class Lexicon:
    """Remembers the tokens of distinct chunks.

    Safe for threads only under ``lock``, which must be held from ``encode`` until the vocabulary was last read.

    Args:
        max_chunks: when more chunks than this are remembered, the half not used for longest is forgotten. A chunk
            of more than 64 characters counts as several, so that the bound is one on memory.

    Attributes:
        lock: see above.
        lookups: chunks looked up so far.
        misses: those of them that were not remembered.
    """

    def __init__(self, max_chunks: int = DEFAULT_MAX_CHUNKS) -> None:
        self.lock = threading.RLock()
        self._max_chunks = max_chunks
        self._tokenizer = ChunkTokenizer()
        self._clock = 0
        self.lookups = 0
        self.misses = 0
        self._last_used: NDArray[np.int64]
        self.vocabulary: Vocabulary
        self._start_empty()

    def __len__(self) -> int:
        """How many chunks are remembered."""
        return len(self._ids)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode texts.

        Args:
            texts: any strings; also empty ones, or with lone surrogates (read as U+FFFD).

        Returns:
            Tokens and surface features, text by text.
        """
        if self._weight > self._max_chunks:
            self._forget()
        cleaned = [clean(text) for text in texts]
        chunks: list[str] = []
        ends: list[int] = []
        for text in cleaned:
            chunks += text.split()
            ends.append(len(chunks))
        ids = np.fromiter(map(self._ids.get, chunks, repeat(-1)), np.int64, len(chunks))
        unknown = np.flatnonzero(ids < 0)
        if len(unknown):
            self._learn(dict.fromkeys([chunks[index] for index in unknown]))
            ids[unknown] = [self._ids[chunks[index]] for index in unknown]
        self.lookups += len(ids)
        self.misses += len(unknown)
        self._clock += 1
        self._last_used[ids] = self._clock

        starts = np.array([0, *ends], np.int64)
        counts = self._counts.view
        sums = csr_array((np.ones(len(ids), np.int64), ids, starts), shape=(len(texts), len(counts))) @ counts
        line_breaks = np.array([text.count("\n") for text in cleaned], np.int64)

        token_counts = self._token_count.view[ids]
        owner = np.repeat(np.arange(len(texts)), np.diff(starts))
        position = ranges(self._token_start.view[ids], token_counts)
        return Encoded(
            token=self._tokens.view[position],
            text=np.repeat(owner, token_counts),
            surface=surface_features(sums.reshape(len(texts), len(COUNTS)), line_breaks),
            vocabulary=self.vocabulary,
        )

    def tokens_of(self, text: str) -> list[str]:
        """The tokens of one text after cleaning, as strings."""
        encoded = self.encode([text])
        tokens = self.vocabulary.tokens
        return [tokens[number] for number in encoded.token]

    def _learn(self, chunks: Iterable[str]) -> None:
        new = list(chunks)
        tokenized = self._tokenizer.tokenize([_encodable(chunk) for chunk in new])
        flat = [token for tokens in tokenized for token in tokens]
        counts = np.array([len(tokens) for tokens in tokenized], np.int64)
        first = len(self._tokens)
        self._tokens.extend(np.array(self.vocabulary.ids(flat), np.int64))
        self._token_start.extend(first + np.cumsum(counts) - counts)
        self._token_count.extend(counts)
        sums: list[int] = []
        for chunk, tokens in zip(new, tokenized, strict=True):
            sums += chunk_counts(chunk, tokens)
        self._counts.extend(np.array(sums, np.int64).reshape(len(new), len(COUNTS)))
        weights = np.array([1 + len(chunk) // SHORT_CHUNK for chunk in new], np.int64)
        self._weights.extend(weights)
        self._weight += int(weights.sum())
        self._ids.update(zip(new, range(len(self._ids), len(self._ids) + len(new)), strict=True))
        if len(self._ids) > len(self._last_used):
            self._last_used = np.append(self._last_used, np.zeros(len(self._ids), np.int64))

    def _start_empty(self) -> None:
        self._ids: dict[str, int] = {}
        self._weight = 0
        self._weights = GrowingArray(np.int64)
        self._tokens = GrowingArray(np.int64)
        self._token_start = GrowingArray(np.int64)
        self._token_count = GrowingArray(np.int64)
        self._counts = GrowingArray(np.int64, (len(COUNTS),))
        self._last_used = np.zeros(1024, np.int64)
        self.vocabulary = Vocabulary()

    def _forget(self) -> None:
        """Keep the half of the chunks used last, so that memory stays within its bound.

        Nothing is worked out again: tokenizing the kept half anew would hold a stream up for seconds.
        """
        newest_first = np.argsort(-self._last_used[: len(self._ids)], kind="stable")
        kept = np.sort(newest_first[np.cumsum(self._weights.view[newest_first]) <= self._max_chunks // 2])
        chunks = list(self._ids)
        chunks = [chunks[place] for place in kept.tolist()]
        token_count = self._token_count.only(kept)
        tokens = self._tokens.view[ranges(self._token_start.view[kept], token_count.view)]
        numbers = np.unique(tokens)
        self.vocabulary = self.vocabulary.only(numbers)
        self._tokens = GrowingArray(np.int64)
        self._tokens.extend(np.searchsorted(numbers, tokens))
        self._token_count = token_count
        self._token_start = GrowingArray(np.int64)
        self._token_start.extend(np.cumsum(token_count.view) - token_count.view)
        self._counts = self._counts.only(kept)
        self._weights = self._weights.only(kept)
        self._weight = int(self._weights.view.sum())
        self._last_used = self._last_used[kept]
        self._ids = dict(zip(chunks, range(len(chunks)), strict=True))


def _encodable(chunk: str) -> str:
    if chunk.isascii():
        return chunk
    return chunk.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
