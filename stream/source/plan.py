"""Plan of a run: what to send, when, and where to store the checkpoint."""

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
    """A file of comments that needs no statements.

    Attributes:
        path: the file.
        author_key: key of the pseudonyms of authors, see :mod:`moderation.datasets.importer.authors`.
    """

    path: Path
    author_key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class History:
    """Folder of ``moderation generate``."""

    folder: Path


@dataclass(frozen=True, slots=True)
class Generated:
    """Traffic that is generated while it is sent."""

    config: TrafficConfig


Origin = CsvExport | History | Generated


class Anchor(StrEnum):
    """Arrival that a shift moves to the given instant."""

    FIRST = "first"
    LAST_COMMENT = "last-comment"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class SendPlan:
    """Plan of one run of the source.

    Attributes:
        origin: origin of the arrivals.
        state: folder of checkpoint, delivery log and refusals; one per input and broker.
        pace: when arrivals are sent.
        actions: False sends comments only.
        skip: arrivals to leave out at the beginning; actions count.
        limit: maximum arrivals to send over all runs together; refused ones count; None for all.
        shift_to: instant to which old data is shifted, microseconds since the epoch or ``now``; None keeps times.
        anchor: arrival that gets that instant. None chooses: ``first`` if recorded times are kept or slowed down, so
            that each event time is about the time of sending; else ``last``, because data that runs faster than the
            clock would be dated ahead of it, and the worker refuses future-dated comments.

    Raises:
        ConfigurationError: a number is out of its limits, or there is an anchor without a shift.
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
        """Check the numbers and the anchor."""
        if self.skip < 0:
            raise ConfigurationError("--skip", f"{self.skip} is negative")
        if self.limit is not None and self.limit < 1:
            raise ConfigurationError("--limit", f"{self.limit} is below 1")
        if self.anchor is not None and self.shift_to is None:
            raise ConfigurationError("--shift-anchor", "it needs --shift-to", "Give --shift-to as well.")

    @property
    def shift_anchor(self) -> Anchor:
        """The given anchor, or the default for the pace."""
        if self.anchor is not None:
            return self.anchor
        keeps_time = isinstance(self.pace, AtRecordedTimes) and self.pace.speed <= 1
        return Anchor.FIRST if keeps_time else Anchor.LAST
