"""Which words tell removed comments from kept ones, and how often words occur at all."""

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
"""A token is shown only if this many different bodies hold it: rarer ones say little, and may name somebody."""
PRIOR_TOKENS = 1_000.0
"""What the prior of log-odds ratios weighs, in occurrences."""


@dataclass(frozen=True, slots=True)
class TellingToken:
    """A token, lower case, and what it tells.

    Attributes:
        token: as written, in lower case.
        comments: different bodies that hold it.
        removed: how many of them were removed.
        z: log-odds ratio over its standard deviation, see :func:`log_odds_z`; positive speaks for removal.
        weight: what a model adds to the log-odds of removal for it alone.
    """

    token: str
    comments: int
    removed: int
    z: float
    weight: float


@dataclass(frozen=True, slots=True)
class TokenFigures:
    """What the words show.

    Attributes:
        frequency: occurrences of every token, lower case, most frequent first, shape (tokens,).
        telling: the tokens that may be shown, in alphabetical order.
    """

    frequency: NDArray[np.int64]
    telling: tuple[TellingToken, ...]

    @property
    def once(self) -> int:
        """How many tokens occur once."""
        return int((self.frequency == 1).sum())

    def strongest(self, by: Callable[[TellingToken], float], most: int) -> list[TellingToken]:
        """The tokens with the largest positive value, largest first."""
        return sorted((each for each in self.telling if by(each) > 0), key=lambda each: -by(each))[:most]


def count_tokens(
    texts: Sequence[str], removed: Bools, lexicon: Lexicon, weigh: Callable[[Sequence[str]], Sequence[float]]
) -> TokenFigures:
    """Count tokens.

    A body that occurs several times counts once, as removed if any of its comments was: what somebody posts a hundred
    times would otherwise be all there is to see.

    Args:
        texts: comments' bodies.
        removed: the labels, shape (texts,).
        lexicon: where tokens are worked out.
        weigh: what a model adds to the log-odds of removal for each token alone.
    """
    label: dict[str, bool] = {}
    for text, is_removed in zip(texts, removed.tolist(), strict=True):
        label[text] = label.get(text, False) or is_removed
    occurrences: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    holding: Counter[str] = Counter()
    gone: Counter[str] = Counter()
    for part in slices(list(label)):
        with lexicon.lock:
            encoded = lexicon.encode(part)
            names = encoded.vocabulary.tokens
            tokens = [names[number].lower() for number in encoded.token.tolist()]
        ends = np.searchsorted(encoded.text, np.arange(len(part) + 1)).tolist()
        for text, (start, end) in zip(part, pairwise(ends), strict=True):
            own = Counter(tokens[start:end])
            occurrences[label[text]].update(own)
            holding.update(own.keys())
            if label[text]:
                gone.update(own.keys())
    in_removed, in_kept = (
        np.array([occurrences[side][token] for token in holding], np.int64) for side in (True, False)
    )
    z = dict(zip(holding, log_odds_z(in_removed, in_kept).tolist(), strict=True))
    shown = sorted(token for token, count in holding.items() if count >= LEAST_COMMENTS)
    return TokenFigures(
        frequency=np.sort(in_removed + in_kept)[::-1],
        telling=tuple(
            TellingToken(token, holding[token], gone[token], z[token], weight)
            for token, weight in zip(shown, weigh(shown), strict=True)
        ),
    )


def log_odds_z(here: NDArray[np.int64], there: NDArray[np.int64]) -> Floats:
    """Log-odds ratios of words with an informative Dirichlet prior, each over its standard deviation.

    The prior is what both sides say together, so a word must occur often before it is believed to tell them apart.
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
        # A side of one word only has no odds: half a word of another one keeps them finite.
        return np.asarray(np.log(side / np.maximum(side.sum() - side, 0.5)))

    ratio = log_odds(first) - log_odds(second)
    return np.asarray(ratio / np.sqrt(1 / first + 1 / second))
