"""What to send, when, and where to remember how far it got."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from moderation.datasets.synthetic import TrafficConfig
from moderation.errors import ConfigurationError
from stream.source.pacing import AsFastAsPossible, AtRecordedTimes, Pace


@dataclass(frozen=True, slots=True)
class CsvExport:
    """An r/science export, either schema."""

    path: Path


@dataclass(frozen=True, slots=True)
class History:
    """A folder of ``moderation generate``."""

    folder: Path


@dataclass(frozen=True, slots=True)
class Generated:
    """Traffic generated while it is sent."""

    config: TrafficConfig


Origin = CsvExport | History | Generated


class Anchor(StrEnum):
    """Which arrival a shift puts at the given instant."""

    FIRST = "first"
    LAST_COMMENT = "last-comment"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class SendPlan:
    """One run of the source.

    Attributes:
        origin: where arrivals come from.
        state: folder of progress, report and refusals; one per input and broker.
        pace: when they are sent.
        actions: False sends comments only.
        skip: arrivals left out at the beginning, actions counted.
        limit: arrivals sent at most, over all runs together, refused ones counted; None for all.
        shift_to: the instant that old data is moved to, microseconds since the epoch or ``now``; None leaves times.
        anchor: which arrival lies at that instant. None chooses: ``first`` when recorded times are kept or slowed
            down, so that each event time is about the instant of sending; else ``last``, because data that runs
            faster than the clock would be dated ahead of it, and the speed layer refuses future-dated comments.

    Raises:
        ConfigurationError: a number is out of its limits, or an anchor is given without a shift.
    """

    origin: Origin
    state: Path
    pace: Pace = field(default_factory=AsFastAsPossible)
    actions: bool = True
    skip: int = 0
    limit: int | None = None
    shift_to: int | Literal["now"] | None = None
    anchor: Anchor | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.skip < 0:
            raise ConfigurationError("--skip", f"{self.skip} is negative")
        if self.limit is not None and self.limit < 1:
            raise ConfigurationError("--limit", f"{self.limit} is below 1")
        if self.anchor is not None and self.shift_to is None:
            raise ConfigurationError("--shift-anchor", "nothing is shifted", "Give --shift-to as well.")

    @property
    def shift_anchor(self) -> Anchor:
        """The anchor given, or the one that suits the pace."""
        if self.anchor is not None:
            return self.anchor
        keeps_time = isinstance(self.pace, AtRecordedTimes) and self.pace.speed <= 1
        return Anchor.FIRST if keeps_time else Anchor.LAST
