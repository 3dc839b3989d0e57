"""Steps of long work, for progress bars and logs."""

from __future__ import annotations

from typing import Self


class Step(str):
    """A line of text about the progress of long work, and the share that is done.

    It is text, so that a callback that takes text takes it too.

    Attributes:
        share: done share of the work that the line names, 0 to 1.
    """

    __slots__ = ("share",)
    share: float

    def __new__(cls, text: str, share: float) -> Self:
        """Create a step."""
        step = super().__new__(cls, text)
        step.share = min(max(share, 0.0), 1.0)
        return step
