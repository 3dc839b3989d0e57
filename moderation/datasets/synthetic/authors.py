"""Authors of synthetic comments: few write much, many write once, and repeat offenders write most bad comments."""

from __future__ import annotations

import hashlib
from random import Random

from moderation.datasets.synthetic.kinds import BAD_KINDS, Kind

OFFENDER_SHARE = 0.03
_POPULATION_DAYS = 5  # the population is as large as five days' comments
_LEAST_POPULATION = 200
_ONE_OFF = 0.08
_OFFENDER_IF_BAD = 0.68
_OFFENDER_ELSE = 0.04


class Authors:
    """A population of authors of fixed size, and any number of accounts that write once.

    Args:
        seed: seed of the configuration; author keys depend on it.
        comments_per_day: determines the size of the population.
        rng: random stream.
    """

    def __init__(self, seed: int, comments_per_day: int, rng: Random) -> None:
        population = max(_LEAST_POPULATION, _POPULATION_DAYS * comments_per_day)
        self._offenders = max(1, round(OFFENDER_SHARE * population))
        self._others = population - self._offenders
        self._seed = seed
        self._rng = rng

    def of(self, kind: Kind) -> str:
        """Draw the ``author_key`` of a comment of this kind."""
        draw = self._rng.random()
        if draw < (_OFFENDER_IF_BAD if kind in BAD_KINDS else _OFFENDER_ELSE):
            return self._known("offender", self._rank(self._offenders, flatness=8.0))
        if self._rng.random() < _ONE_OFF:
            return self.fresh()
        return self._known("other", self._rank(self._others, flatness=40.0))

    def fresh(self) -> str:
        """Create the ``author_key`` of a new account."""
        return f"u{self._rng.getrandbits(48):012x}"

    def _rank(self, size: int, flatness: float) -> int:
        # Zipf-Mandelbrot: density 1 / (rank + flatness); without it one author would write a tenth of all comments.
        return int(flatness * ((1 + size / flatness) ** self._rng.random() - 1))

    def _known(self, role: str, rank: int) -> str:
        return "u" + hashlib.blake2s(f"{self._seed}/{role}/{rank}".encode(), digest_size=6).hexdigest()
