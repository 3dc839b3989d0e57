"""Sixteen surface features of a comment: length, capitals, punctuation. Computed from additive counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moderation.text.kernel_constants import FIRST_PERSON, SECOND_PERSON
from moderation.text.vocabulary import is_url

COUNTS = (
    "characters",
    "tokens",
    "upper",
    "digits",
    "symbols",
    "exclamations",
    "questions",
    "quotes",
    "commas",
    "periods",
    "urls",
    "shouts",
    "first_person",
    "second_person",
)
FEATURES = (
    "log_characters",
    "log_tokens",
    "upper_share",
    "digit_share",
    "symbol_share",
    "log_exclamations",
    "log_questions",
    "log_lines",
    "log_urls",
    "log_shouts",
    "log_quotes",
    "characters_per_token",
    "log_commas",
    "log_periods",
    "log_second_person",
    "log_first_person",
)
_COLUMN = {name: index for index, name in enumerate(COUNTS)}

# log(1 + n) by look-up: numpy's own log may differ in the last bit between the body and the tail of an array.
_LOG1P = np.array([math.log1p(n) for n in range(65_536)])


def log1p_counts(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """log(1 + n) of counts, capped at n = 65,535; the same bits at any index of the array."""
    return _LOG1P[np.minimum(counts, len(_LOG1P) - 1)]


def chunk_counts(chunk: str, tokens: Sequence[str]) -> tuple[int, ...]:
    """Count one chunk's characters and tokens, in the order of ``COUNTS``. Counts of a text are sums of these."""
    length = len(chunk)
    is_word = chunk.isalpha() and chunk.islower()
    if is_word and len(tokens) == 1:
        return (length, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, int(chunk in FIRST_PERSON), int(chunk in SECOND_PERSON))
    if is_word:
        upper = digits = symbols = marks = 0
    else:
        upper = sum(map(str.isupper, chunk))
        digits = sum(map(str.isdigit, chunk))
        marks = symbols = length - sum(map(str.isalnum, chunk))
    first = second = urls = shouts = 0
    for token in tokens:
        lower = token.lower()
        first += lower in FIRST_PERSON
        second += lower in SECOND_PERSON
        shouts += len(token) > 1 and token.isupper()
        urls += is_url(token)
    exclamations = questions = quotes = commas = periods = 0
    if marks:
        exclamations, questions, quotes = chunk.count("!"), chunk.count("?"), chunk.count('"')
        commas, periods = chunk.count(","), chunk.count(".")
    return (
        length,
        len(tokens),
        upper,
        digits,
        symbols,
        exclamations,
        questions,
        quotes,
        commas,
        periods,
        urls,
        shouts,
        first,
        second,
    )


def surface_features(counts: NDArray[np.int64], line_breaks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute features from counts, in the order of ``FEATURES``.

    Args:
        counts: shape (texts, len(COUNTS)).
        line_breaks: shape (texts,).

    Returns:
        Shape (texts, len(FEATURES)); shares are of all characters that are not white space.
    """

    def log(name: str) -> NDArray[np.float64]:
        return log1p_counts(counts[:, _COLUMN[name]])

    characters = np.maximum(counts[:, _COLUMN["characters"]], 1)
    tokens = np.maximum(counts[:, _COLUMN["tokens"]], 1)
    columns = (
        log("characters"),
        log("tokens"),
        counts[:, _COLUMN["upper"]] / characters,
        counts[:, _COLUMN["digits"]] / characters,
        counts[:, _COLUMN["symbols"]] / characters,
        log("exclamations"),
        log("questions"),
        log1p_counts(line_breaks),
        log("urls"),
        log("shouts"),
        log("quotes"),
        characters / tokens,
        log("commas"),
        log("periods"),
        log("second_person"),
        log("first_person"),
    )
    return np.stack(columns, axis=1)
