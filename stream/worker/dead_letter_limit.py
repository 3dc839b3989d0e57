"""Optional limit on unreadable records. Without it the worker continues regardless of their number."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from moderation.errors import TooManyDeadLetters

_REMEDY = (
    "The ledger has all of them: see `moderation dead-letters list`. Fix the producer, or raise the limit "
    "(MODERATION_DEAD_LETTER_*), and start the worker again: it continues after them."
)


class DeadLetterLimit:
    """Counts unreadable records among the newest records of this process. Records with a wrong clock are readable.

    Args:
        window: number of records for the share; the share has no effect before that many records.
        share: share of unreadable records at which the worker stops; None for never.
        run: unreadable records in a row at which the worker stops; None for never.
    """

    def __init__(self, window: int, share: float | None, run: int | None) -> None:
        self._newest: deque[bool] = deque(maxlen=window)
        self._share = share
        self._run = run
        self._unreadable = 0
        self._in_a_row = 0

    def note(self, unreadable: Iterable[bool]) -> None:
        """Count stored records, in order.

        Raises:
            TooManyDeadLetters: a limit is reached.
        """
        newest = self._newest
        for bad in unreadable:
            if len(newest) == newest.maxlen:
                self._unreadable -= newest[0]
            newest.append(bad)
            self._unreadable += bad
            self._in_a_row = self._in_a_row + 1 if bad else 0
            if self._run is not None and self._in_a_row >= self._run:
                raise TooManyDeadLetters("topic comments", f"{self._in_a_row} unreadable records in a row", _REMEDY)
            is_full = len(newest) == newest.maxlen
            if is_full and self._share is not None and self._unreadable >= self._share * len(newest):
                raise TooManyDeadLetters(
                    "topic comments", f"{self._unreadable} of the last {len(newest)} records are unreadable", _REMEDY
                )
