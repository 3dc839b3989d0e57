"""Compute when arrivals are due. Pure: the clock is an argument."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from moderation.datasets.synthetic import Arrival
from moderation.errors import ConfigurationError
from moderation.timestamps import SECOND_US


@dataclass(frozen=True, slots=True)
class AtRate:
    """A fixed number of arrivals a second, comments and actions together.

    Raises:
        ConfigurationError: the rate is not a positive number.
    """

    records_per_second: float

    def __post_init__(self) -> None:
        """Require a positive rate."""
        _refuse_unless_positive("--rate", self.records_per_second)

    def due_us(self, number: int, since_first_us: int) -> int:
        """Return the microseconds after the start at which arrival ``number`` (from 0) is due."""
        return math.ceil(number * SECOND_US / self.records_per_second)


@dataclass(frozen=True, slots=True)
class AtRecordedTimes:
    """Recorded times, ``speed`` times as fast.

    Raises:
        ConfigurationError: the speed is not a positive number.
    """

    speed: float

    def __post_init__(self) -> None:
        """Require a positive speed."""
        _refuse_unless_positive("--speed", self.speed)

    def due_us(self, number: int, since_first_us: int) -> int:
        """Return the due time of an arrival ``since_first_us`` after the first, in microseconds after the start."""
        return math.ceil(since_first_us / self.speed)


@dataclass(frozen=True, slots=True)
class AsFastAsPossible:
    """All arrivals are due at once."""

    def due_us(self, number: int, since_first_us: int) -> int:
        """Return 0, the start."""
        return 0


Pace = AtRate | AtRecordedTimes | AsFastAsPossible


class Schedule:
    """Returns arrivals in order when they are due. Time starts with the first arrival.

    Args:
        arrivals: arrivals in order; one is read ahead.
        pace: determines when each is due.
    """

    def __init__(self, arrivals: Iterable[Arrival], pace: Pace) -> None:
        self._arrivals = iter(arrivals)
        self._pace = pace
        self._number = 0
        self._next = next(self._arrivals, None)
        self._first_us = self._next.arrival_us if self._next else 0

    @property
    def next_due_us(self) -> int | None:
        """Microseconds after the start at which the next arrival is due; None when there is none left."""
        if self._next is None:
            return None
        return self._pace.due_us(self._number, self._next.arrival_us - self._first_us)

    def due(self, elapsed_us: int, most: int, most_bytes: int) -> list[Arrival]:
        """Remove and return the arrivals that are due.

        Args:
            elapsed_us: microseconds since the start.
            most: maximum number of arrivals; others that are due stay for the next call.
            most_bytes: stop once the values have this many bytes.

        Returns:
            Arrivals in order; none if the next is not due yet or none is left.
        """
        taken: list[Arrival] = []
        size = 0
        while self._next is not None and len(taken) < most and size < most_bytes:
            if self._pace.due_us(self._number, self._next.arrival_us - self._first_us) > elapsed_us:
                break
            taken.append(self._next)
            size += len(self._next.value)
            self._number += 1
            self._next = next(self._arrivals, None)
        return taken


def _refuse_unless_positive(option: str, number: float) -> None:
    if not (math.isfinite(number) and number > 0):
        raise ConfigurationError(option, f"{number:g} is not a positive number")
