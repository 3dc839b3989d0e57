"""spaCy's English tokens, chunk by chunk.

spaCy's tokenizer works between white space, so the tokens of a text are those of its chunks one after another, white
space aside. That makes them worth remembering per distinct chunk (``lexicon``). Two things speed up the rest: a word,
alone or before one closing mark, needs no regular expression; and all other new chunks of a batch share one ``Doc``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import spacy
from spacy.attrs import IDX, LENGTH
from spacy.tokenizer import Tokenizer

from moderation.text.law import LONG_PIECE, PUNCTUATED_PIECE, PUNCTUATED_SHARE, SHORT_CHUNK

_CLOSING = frozenset(",;:!?)\"'")
_EDGE = re.compile(r"[\W_]*")
_DOC_CHUNKS = 5_000


class ChunkTokenizer:
    """Tokens of chunks, equal to ``spacy.blank("en").tokenizer`` on every chunk the law leaves whole.

    Not safe for use by two threads at once. spaCy's own caches and string store do not grow: new chunks are
    tokenized inside a memory zone.
    """

    def __init__(self) -> None:
        self._nlp = spacy.blank("en")
        self._tokenizer = cast(Tokenizer, self._nlp.tokenizer)
        self._exceptions = frozenset(self._tokenizer.rules or ())
        # Only boundaries are asked for: working out shape, case and a dozen more attributes per new word is waste.
        cast(Any, self._nlp.vocab).lex_attr_getters.clear()

    def tokenize(self, chunks: Sequence[str]) -> list[list[str]]:
        """Tokenize chunks.

        Args:
            chunks: non-empty strings without white space and without lone surrogates.

        Returns:
            One list of tokens per chunk, in order; joined they give the chunk again.
        """
        tokens: list[list[str]] = [[] for _ in chunks]
        pieces: list[str] = []
        owners: list[int] = []
        for index, chunk in enumerate(chunks):
            known = self._plain(chunk)
            if known is not None:
                tokens[index] = known
                continue
            for piece in _pieces(chunk):
                pieces.append(piece)
                owners.append(index)
        for first in range(0, len(pieces), _DOC_CHUNKS):
            batch = pieces[first : first + _DOC_CHUNKS]
            for owner, piece_tokens in zip(owners[first:], self._spacy_tokens(batch), strict=False):
                tokens[owner] += piece_tokens
        return tokens

    def _plain(self, chunk: str) -> list[str] | None:
        """The tokens of a plain word, alone or before one closing mark; None where spaCy must decide."""
        if len(chunk) > SHORT_CHUNK or not chunk.isascii() or chunk in self._exceptions:
            return None
        if chunk.isalpha():
            return [chunk]
        word, mark = chunk[:-1], chunk[-1]
        is_closed = mark in _CLOSING or (mark == "." and word[-1:].islower())
        return [word, mark] if is_closed and word.isalpha() and word not in self._exceptions else None

    def _spacy_tokens(self, chunks: list[str]) -> list[list[str]]:
        # A line break is a token of its own that no exception rule spans, so neighbours cannot affect each other.
        joined = "\n".join(chunks)
        with self._nlp.memory_zone():
            spans = self._tokenizer(joined).to_array([IDX, LENGTH])
        lines: list[list[str]] = [[]]
        for start, length in zip(spans[:, 0].tolist(), spans[:, 1].tolist(), strict=True):
            text = joined[start : start + length]
            if text == "\n":
                lines.append([])
            else:
                lines[-1].append(text)
        return lines


def _pieces(chunk: str) -> list[str]:
    length = len(chunk)
    if length <= SHORT_CHUNK:
        return [chunk]
    symbols = length - sum(map(str.isalnum, chunk))
    edges = len(_EDGE.match(chunk)[0]) + len(_EDGE.match(chunk[::-1])[0])  # type: ignore[index]
    is_punctuated = symbols > PUNCTUATED_SHARE * length or edges > PUNCTUATED_PIECE
    size = PUNCTUATED_PIECE if is_punctuated else LONG_PIECE
    return [chunk[start : start + size] for start in range(0, length, size)]
