"""From texts to numbers: tokens of every distinct chunk are worked out once and remembered, within a bound.

A look-up per chunk is all that a text of known chunks costs. What is remembered changes speed and memory only:
the encoding of a text never depends on what was seen before.
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
        max_chunks: no more chunks than about this are remembered; past it those not used for longest are forgotten. A
            chunk of more than 64 characters counts as several, so that the bound is one on memory.

    Attributes:
        lock: see above.
        lookups: chunks looked up so far.
        misses: those of them that were not remembered.
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
        """How many chunks are remembered; one of both generations counts twice, as it takes room twice."""
        return len(self._young.ids) + len(self._old.ids)

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of the chunks used lately."""
        return self._young.vocabulary

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode texts.

        Args:
            texts: any strings; also empty ones, or with lone surrogates (read as U+FFFD).

        Returns:
            Tokens and surface features, text by text.
        """
        if self._young.weight > self._max_chunks // 2:
            # Nothing is worked out or moved here: a stream that is scored must not be held up.
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
            known = [chunk for chunk in wanted if chunk in self._old.ids]
            young.adopt(self._old, known)
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
    """Chunks, their tokens and counts; rows are never changed once written.

    Two of them make up a lexicon. Whatever is used is in the young one, taken over from the old one if it was there;
    when the young one is full it becomes the old one, and what was old and not used since is gone.
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
        """Add chunks that are not here, with their tokens."""
        if not chunks:
            return
        numbers = self.vocabulary.ids([token for tokens in tokenized for token in tokens])
        sums: list[int] = []
        for chunk, tokens in zip(chunks, tokenized, strict=True):
            sums += chunk_counts(chunk, tokens)
        token_count = np.array([len(tokens) for tokens in tokenized], np.int64)
        self._add(chunks, np.array(numbers, np.int64), token_count, np.array(sums, np.int64).reshape(-1, len(COUNTS)))

    def adopt(self, other: _Generation, chunks: Sequence[str]) -> None:
        """Add chunks that are not here but in another generation."""
        if not chunks:
            return
        places = np.array([other.ids[chunk] for chunk in chunks], np.int64)
        token_count = other.token_count.view[places]
        tokens = other.tokens.view[ranges(other.token_start.view[places], token_count)]
        self._add(chunks, self.vocabulary.adopt(other.vocabulary, tokens), token_count, other.counts.view[places])

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
