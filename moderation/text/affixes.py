"""spaCy's English affix and URL rules with the same results in time linear in the length of the string.

spaCy strips punctuation from both ends of a chunk, one prefix and one suffix at each step. Its searches try every
position of the rest of the chunk each time, and its URL pattern backtracks over every pair of ``:`` and ``@``. The
functions here try only positions where a match can begin. They return to the interpreter after every step, so that
other threads run while a long text is tokenized.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import spacy
from spacy.lang.tokenizer_exceptions import URL_PATTERN
from spacy.language import Language
from spacy.tokenizer import Tokenizer

Match = re.Match[str]
Search = Callable[[str], Match | None]

SUFFIX_CHARACTERS = 5
"""Length of the longest suffix besides a run of full stops."""
URL_HEAD = r"^(?:(?:[\w\+\-\.]{2,})://)?(?:\S+(?::\S*)?@)?"
"""The beginning of spaCy's URL pattern: an optional scheme, then optional user information."""
_STOPS = "." * SUFFIX_CHARACTERS
_SCHEME = re.compile(r"[\w\+\-\.]{2,}://")
_ONE = re.compile(".").match("!")
"""A match of one character: spaCy reads only the length of a match."""


def blank_english() -> Language:
    """spaCy's blank English pipeline with the linear tokenizer."""
    nlp = spacy.blank("en")
    nlp.tokenizer = linear_tokenizer(nlp)
    return nlp


def linear_tokenizer(nlp: Language) -> Tokenizer:
    """A tokenizer with the rules of a language and the searches of this module.

    Args:
        nlp: a blank English pipeline.

    Raises:
        ValueError: spaCy's URL pattern begins differently from ``URL_HEAD``.
    """
    default: Any = nlp.tokenizer
    return Tokenizer(
        nlp.vocab,
        rules=default.rules,
        prefix_search=prefix_search(nlp.Defaults.prefixes or ()),
        suffix_search=suffix_search(nlp.Defaults.suffixes or ()),
        infix_finditer=default.infix_finditer,
        token_match=default.token_match,
        url_match=url_match(URL_PATTERN),
    )


def prefix_search(prefixes: Iterable[Any]) -> Search:
    """Return a function that matches like ``spacy.util.compile_prefix_regex(prefixes).search``, with equal lengths.

    Args:
        prefixes: regular expressions, each for the beginning of a string; no single mark begins another one.
    """
    pieces = [piece for piece in prefixes if piece.strip()]
    marks, match_start = _ascii_marks(pieces), re.compile("|".join(pieces)).match

    def search(text: str) -> Match | None:
        return _ONE if text[:1] in marks else match_start(text)

    return search


def suffix_search(suffixes: Iterable[Any]) -> Search:
    """Return a function that matches like ``spacy.util.compile_suffix_regex(suffixes).search``, with equal lengths.

    Strings have no white space.

    Args:
        suffixes: regular expressions, each for the end of a string; no single ASCII mark ends a longer one.
    """
    pieces = [piece for piece in suffixes if piece.strip()]
    marks, search_from = _ascii_marks(pieces), re.compile("|".join(piece + "$" for piece in pieces)).search

    def search(text: str) -> Match | None:
        if text[-1:] in marks:
            return _ONE
        first = len(text) - SUFFIX_CHARACTERS
        if first <= 0:
            return search_from(text)
        if text[first:] == _STOPS:
            first = len(text.rstrip("."))
        return search_from(text, first)

    return search


def url_match(pattern: str) -> Callable[[str], object]:
    """Return a function that is true for the strings without white space that a URL pattern matches.

    Args:
        pattern: spaCy's; it begins with ``URL_HEAD``.

    Raises:
        ValueError: the pattern begins differently.
    """
    if not pattern.startswith(URL_HEAD):
        raise ValueError(f"spaCy's URL pattern begins with {pattern[: len(URL_HEAD)]!r}, not with {URL_HEAD!r}")
    match_host = re.compile(pattern[len(URL_HEAD) :]).match

    def match(text: str) -> object:
        if "." not in text:
            return None  # every host has a full stop
        if host := match_host(text):
            return host
        if (scheme := _SCHEME.match(text)) and (host := match_host(text, scheme.end())):
            return host
        # User information is one character or more before any "@"; a host contains none.
        at = text.find("@", 1)
        while at >= 0:
            if host := match_host(text, at + 1):
                return host
            at = text.find("@", at + 1)
        return None

    return match


def _ascii_marks(pieces: Iterable[str]) -> frozenset[str]:
    literals = (piece.removeprefix("\\") for piece in pieces)
    return frozenset(mark for mark in literals if len(mark) == 1 and mark.isascii())
