"""Statistics of tokens: which ones distinguish removed from kept comments, and their frequencies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from moderation.text import Lexicon
from moderation.text.features import slices
from moderation.training.metrics import Bools, Floats

LEAST_COMMENTS = 10
"""Minimum number of distinct bodies with a token: rarer tokens are not significant, and may be personal names."""
PRIOR_TOKENS = 1_000.0
"""Weight of the prior of log-odds ratios, in occurrences."""


@dataclass(frozen=True, slots=True)
class TellingToken:
    """A token, lower case, and its association with removal.

    Attributes:
        token: as written, in lower case.
        comments: distinct bodies that contain it.
        removed: number of removed ones.
        z: log-odds ratio over its standard deviation, see :func:`log_odds_z`; positive indicates removal.
        weight: contribution of the token alone to the log-odds of removal.
    """

    token: str
    comments: int
    removed: int
    z: float
    weight: float


@dataclass(frozen=True, slots=True)
class TokenFigures:
    """Statistics of tokens.

    Attributes:
        frequency: occurrences of every token, lower case, most frequent first, shape (tokens,).
        telling: tokens that may be shown, in alphabetical order.
    """

    frequency: NDArray[np.int64]
    telling: tuple[TellingToken, ...]

    @property
    def once(self) -> int:
        """Number of tokens that occur once."""
        return int((self.frequency == 1).sum())

    def strongest(self, by: Callable[[TellingToken], float], most: int) -> list[TellingToken]:
        """The tokens with the largest positive value, largest first."""
        return sorted((each for each in self.telling if by(each) > 0), key=lambda each: -by(each))[:most]


def count_tokens(
    texts: Sequence[str], removed: Bools, lexicon: Lexicon, weigh: Callable[[Sequence[str]], Sequence[float]]
) -> TokenFigures:
    """Count tokens.

    A body that occurs several times counts once, as removed if any of its comments was; otherwise frequent reposts
    would dominate the result.

    Args:
        texts: bodies of the comments.
        removed: the labels, shape (texts,).
        lexicon: token cache.
        weigh: returns the contribution of each token alone to the log-odds of removal.
    """
    label: dict[str, bool] = {}
    for text, is_removed in zip(texts, removed.tolist(), strict=True):
        label[text] = label.get(text, False) or is_removed
    occurrences: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    containing: Counter[str] = Counter()
    removed_bodies: Counter[str] = Counter()
    for part in slices(list(label)):
        with lexicon.lock:
            encoded = lexicon.encode(part)
            names = encoded.vocabulary.tokens
            tokens = [names[number].lower() for number in encoded.token.tolist()]
        ends = np.searchsorted(encoded.text, np.arange(len(part) + 1)).tolist()
        for text, (start, end) in zip(part, pairwise(ends), strict=True):
            counts = Counter(tokens[start:end])
            occurrences[label[text]].update(counts)
            containing.update(counts.keys())
            if label[text]:
                removed_bodies.update(counts.keys())
    in_removed, in_kept = (
        np.array([occurrences[side][token] for token in containing], np.int64) for side in (True, False)
    )
    z = dict(zip(containing, log_odds_z(in_removed, in_kept).tolist(), strict=True))
    shown = sorted(token for token, count in containing.items() if count >= LEAST_COMMENTS)
    return TokenFigures(
        frequency=np.sort(in_removed + in_kept)[::-1],
        telling=tuple(
            TellingToken(token, containing[token], removed_bodies[token], z[token], weight)
            for token, weight in zip(shown, weigh(shown), strict=True)
        ),
    )


def log_odds_z(here: NDArray[np.int64], there: NDArray[np.int64]) -> Floats:
    """Log-odds ratios of words with an informative Dirichlet prior, each over its standard deviation.

    The prior is the distribution of both sides together, so that a word needs many occurrences to be significant.
    Monroe, Colaresi and Quinn, Fightin' Words, Political Analysis 2008, equations 15, 16, 19, 20 and 22.

    Args:
        here: how often each word occurs on one side, shape (words,).
        there: the same on the other side.

    Returns:
        Shape (words,); positive where a word belongs to the first side.
    """
    both = here + there
    if not both.sum():
        return np.zeros(len(both))
    prior = PRIOR_TOKENS * both / both.sum()
    first, second = here + prior, there + prior

    def log_odds(side: Floats) -> Floats:
        # Half an occurrence of another word keeps the odds finite if a side has one word only.
        return np.asarray(np.log(side / np.maximum(side.sum() - side, 0.5)))

    ratio = log_odds(first) - log_odds(second)
    return np.asarray(ratio / np.sqrt(1 / first + 1 / second))
