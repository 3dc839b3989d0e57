"""Event time: panes, watermark, and the fate of every record. The law, stated once for worker and batch.

A partition's watermark is the largest event time among the accepted records before an offset, less the lateness
allowed. A record is late when its pane ended at or before the watermark of its own offset; late is decided first. A
record that is not late is a duplicate when its record id was counted before. Everything is a function of the log up to
the record: neither a clock nor the cut of batches has a say.

A window is a sum of panes over all partitions. It is also closed by partitions that were read to their ends after its
end and the lateness, see :func:`closed_until_us`; that changes no fate.

A record that is not late lies in an open pane, and the watermark never falls, so an earlier copy of it was not late
either: to tell duplicates, only the record ids of open panes need to be known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moderation.contracts import Fate, Verdict

PANE_US = 5 * 60 * 1_000_000
LATENESS_US = 10 * 60 * 1_000_000
MEASURES = ("comments", "reviews", "removals", "score_sum")
"""What is counted in a pane, and compared between batch and speed."""
_NO_EVENT_US = -(2**62)


def pane_start_us(event_time_us: int) -> int:
    """Start of the pane an event lies in; panes are half-open, [start, start + PANE_US)."""
    return event_time_us - event_time_us % PANE_US


def watermark_us(newest_event_us: int) -> int:
    """The watermark that an event time of accepted records carries."""
    return newest_event_us - LATENESS_US


def is_closed(start_us: int, newest_event_us: int | None) -> bool:
    """Whether the watermark has reached a pane's end: no later record can be counted in it."""
    return newest_event_us is not None and start_us + PANE_US <= watermark_us(newest_event_us)


def closed_until_us(newest_event_us: int | None, read_to_end_us: int | None) -> int:
    """Windows that end at or before this time are closed in one partition; over all partitions the smallest counts.

    Args:
        newest_event_us: largest event time of the accepted records; None if there is none.
        read_to_end_us: the latest broker time at which the partition was known to be read to its end; None if it
            never was.

    Returns:
        Microseconds since the epoch; far below any event time when nothing is closed.
    """
    by_watermark = _NO_EVENT_US if newest_event_us is None else watermark_us(newest_event_us)
    by_end = _NO_EVENT_US if read_to_end_us is None else read_to_end_us - LATENESS_US - 1
    return max(by_watermark, by_end)


def is_reopened(start_us: int, closed_until_us: int | None) -> bool:
    """Whether counting a comment in a pane changes a window that was closed: the pane may be a window's last one.

    Args:
        start_us: of the pane.
        closed_until_us: windows that end at or before this were closed; None if none was.
    """
    return closed_until_us is not None and start_us + PANE_US <= closed_until_us


def late_flags(newest_event_us: int | None, event_times_us: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which records of one partition are late.

    Args:
        newest_event_us: largest event time of the accepted records before the first of these; None if there is none.
        event_times_us: event times of accepted records, shape (n,), in offset order.

    Returns:
        True where late, shape (n,).
    """
    before = np.empty(len(event_times_us) + 1, np.int64)
    before[0] = _NO_EVENT_US if newest_event_us is None else newest_event_us
    before[1:] = event_times_us
    newest = np.maximum.accumulate(before)[:-1]
    ends = event_times_us - event_times_us % PANE_US + PANE_US
    return ends <= newest - LATENESS_US


class OpenPanes:
    """What one partition must remember to tell the fate of its next record.

    Args:
        newest_event_us: largest event time of accepted records so far; None before the first.
        counted: record ids of the records counted in open panes, by pane start.
    """

    def __init__(
        self, newest_event_us: int | None = None, counted: Mapping[int, Iterable[bytes]] | None = None
    ) -> None:
        self.newest_event_us = newest_event_us
        self._counted = {start_us: set(ids) for start_us, ids in (counted or {}).items()}

    def fates(self, event_times_us: Sequence[int], record_ids: Sequence[bytes]) -> list[Fate]:
        """The fates of the partition's next accepted records; nothing is remembered yet.

        Args:
            event_times_us: in offset order.
            record_ids: in the same order.
        """
        late = late_flags(self.newest_event_us, np.asarray(event_times_us, np.int64)).tolist()
        seen: set[bytes] = set()
        fates = []
        for event_time_us, record_id, is_late in zip(event_times_us, record_ids, late, strict=True):
            if is_late:
                fates.append(Fate.LATE)
            elif record_id in seen or record_id in self._counted.get(pane_start_us(event_time_us), ()):
                fates.append(Fate.DUPLICATE)
            else:
                seen.add(record_id)
                fates.append(Fate.COUNTED)
        return fates

    def remember(self, event_times_us: Sequence[int], record_ids: Sequence[bytes], fates: Sequence[Fate]) -> None:
        """Take records over once they are stored; what closed panes held is forgotten."""
        for event_time_us, record_id, fate in zip(event_times_us, record_ids, fates, strict=True):
            if fate is Fate.COUNTED:
                self._counted.setdefault(pane_start_us(event_time_us), set()).add(record_id)
        if event_times_us:
            newest_us = max(event_times_us)
            if self.newest_event_us is None or newest_us > self.newest_event_us:
                self.newest_event_us = newest_us
        for start_us in [start for start in self._counted if is_closed(start, self.newest_event_us)]:
            del self._counted[start_us]


class PaneKey(NamedTuple):
    """Which pane a decision is added to."""

    partition: int
    community: str
    start_us: int
    model_version: str
    policy_version: str


@dataclass(slots=True)
class PaneSums:
    """What decisions add to a pane; ``late`` stands beside the measures, which late decisions do not enter.

    Attributes:
        comments, reviews, removals: counted decisions, and those of them whose verdict is review or remove.
        score_sum: sum of ``score_ppm`` over the counted ones.
        late: decisions that came after the pane was closed.
        first_offset: smallest offset of a counted one; None when there is none.
    """

    comments: int = 0
    reviews: int = 0
    removals: int = 0
    score_sum: int = 0
    late: int = 0
    first_offset: int | None = None

    def add(self, offset: int, verdict: Verdict, score_ppm: int, fate: Fate) -> None:
        """Add one decision; a duplicate adds nothing."""
        if fate is Fate.LATE:
            self.late += 1
        elif fate is Fate.COUNTED:
            self.comments += 1
            self.reviews += verdict is Verdict.REVIEW
            self.removals += verdict is Verdict.REMOVE
            self.score_sum += score_ppm
            if self.first_offset is None or offset < self.first_offset:
                self.first_offset = offset
