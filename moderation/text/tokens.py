"""Tokenize chunks with spaCy's English tokenizer.

spaCy splits texts at white space first, so the tokens of a text are those of its chunks, which ``lexicon`` caches. Two
measures speed up new chunks: a word, alone or before one closing mark, needs no regular expression; and other chunks
share a ``Doc``. Linear searches for affixes and URLs replace spaCy's (``affixes``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

from spacy.attrs import IDX, LENGTH
from spacy.tokenizer import Tokenizer

from moderation.text.affixes import blank_english
from moderation.text.kernel_constants import LONG_PIECE, PUNCTUATED_PIECE, PUNCTUATED_SHARE, SHORT_CHUNK

_CLOSING = frozenset(",;:!?)\"'")
_EDGE = re.compile(r"[\W_]*")
_DOC_CHUNKS = 5_000
_DOC_CHARACTERS = 20_000
"""Maximum size of a ``Doc``: while spaCy processes parts of it, no other thread runs."""


class ChunkTokenizer:
    """Tokenizes chunks like ``spacy.blank("en").tokenizer``, except that long chunks are cut into pieces.

    Not thread-safe. spaCy's own caches and string store do not grow: new chunks are
    tokenized inside a memory zone.
    """

    def __init__(self) -> None:
        self._nlp = blank_english()
        self._tokenizer = cast(Tokenizer, self._nlp.tokenizer)
        self._exceptions = frozenset(self._tokenizer.rules or ())
        # Only boundaries are needed: skip the computation of shape, case and other attributes of new words.
        cast(Any, self._nlp.vocab).lex_attr_getters.clear()

    def tokenize(self, chunks: Sequence[str]) -> list[list[str]]:
        """Tokenize chunks.

        Args:
            chunks: non-empty strings without white space and without lone surrogates.

        Returns:
            One list of tokens for each chunk, in order; joined they equal the chunk.
        """
        tokens: list[list[str]] = [[] for _ in chunks]
        pieces: list[str] = []
        owners: list[int] = []
        for index, chunk in enumerate(chunks):
            plain_tokens = self._plain(chunk)
            if plain_tokens is not None:
                tokens[index] = plain_tokens
                continue
            for piece in _pieces(chunk):
                pieces.append(piece)
                owners.append(index)
        for first, end in _doc_ranges(pieces):
            for owner, piece_tokens in zip(owners[first:end], self._spacy_tokens(pieces[first:end]), strict=True):
                tokens[owner] += piece_tokens
        return tokens

    def _plain(self, chunk: str) -> list[str] | None:
        """The tokens of a plain word, alone or before one closing mark; None for other chunks."""
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


def _doc_ranges(pieces: Sequence[str]) -> Iterator[tuple[int, int]]:
    first = characters = 0
    for index, piece in enumerate(pieces):
        if index > first and (index - first >= _DOC_CHUNKS or characters + len(piece) > _DOC_CHARACTERS):
            yield first, index
            first, characters = index, 0
        characters += len(piece)
    if first < len(pieces):
        yield first, len(pieces)


def _pieces(chunk: str) -> list[str]:
    length = len(chunk)
    if length <= SHORT_CHUNK:
        return [chunk]
    symbols = length - sum(map(str.isalnum, chunk))
    edges = len(_EDGE.match(chunk)[0]) + len(_EDGE.match(chunk[::-1])[0])  # type: ignore[index]
    is_punctuated = symbols > PUNCTUATED_SHARE * length or edges > PUNCTUATED_PIECE
    size = PUNCTUATED_PIECE if is_punctuated else LONG_PIECE
    return [chunk[start : start + size] for start in range(0, length, size)]
