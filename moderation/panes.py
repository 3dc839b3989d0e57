"""Event time: panes, watermark, and the fate of every record. The law, stated once for worker and batch.

A partition's watermark is the running maximum of the event times before an offset (:mod:`moderation.watermark`), less
the lateness allowed. A record is late when its pane ended at or before the watermark of its own offset; late is decided
first. A record that is not late is a duplicate when its record id was counted before. Everything is a function of the
log up to the record: neither a clock nor the cut of batches has a say.

A window is a sum of panes over all partitions. It is also closed by partitions that were read to their ends after its
end and the lateness, see :func:`closed_until_us`; that changes no fate.

A record that is not late belongs to an open pane. Only an operator's reset lowers the watermark, and the worker then
reads the ids of open panes from the ledger again. So the record ids of open panes are enough to find duplicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moderation.contracts import Fate, Rules, Verdict
from moderation.record_ids import RecordIds
from moderation.watermark import NO_EVENT_US, NOTHING_SEEN, RunningMaximum, advance

PANE_US = 5 * 60 * 1_000_000
LATENESS_US = 10 * 60 * 1_000_000
MEASURES = ("comments", "reviews", "removals", "score_sum")
"""What is counted in a pane, and compared between batch and speed."""


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
    by_watermark = NO_EVENT_US if newest_event_us is None else watermark_us(newest_event_us)
    by_end = NO_EVENT_US if read_to_end_us is None else read_to_end_us - LATENESS_US - 1
    return max(by_watermark, by_end)


def is_reopened(start_us: int, closed_until_us: int | None) -> bool:
    """Whether counting a comment in a pane changes a window that was closed: the pane may be a window's last one.

    Args:
        start_us: of the pane.
        closed_until_us: windows that end at or before this were closed; None if none was.
    """
    return closed_until_us is not None and start_us + PANE_US <= closed_until_us


def late_flags(newest_before_us: NDArray[np.int64], event_times_us: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which records of one partition are late.

    Args:
        newest_before_us: the running maximum before each record, shape (n,); see :func:`moderation.watermark.advance`.
        event_times_us: event times of the records, shape (n,).

    Returns:
        True where late, shape (n,).
    """
    ends = event_times_us - event_times_us % PANE_US + PANE_US
    return ends <= newest_before_us - LATENESS_US


class OpenPanes:
    """What one partition must remember to tell the fate of its next record.

    Args:
        maximum: the running maximum after the records so far.
        counted: (event time, record id) of the records counted in open panes; see :mod:`moderation.record_ids`.
    """

    def __init__(self, maximum: RunningMaximum = NOTHING_SEEN, counted: Iterable[tuple[int, bytes]] = ()) -> None:
        self.maximum = maximum
        self._counted = RecordIds()
        for event_time_us, record_id in counted:
            self._counted.add(record_id, event_time_us // PANE_US)

    @property
    def remembered(self) -> int:
        """How many record ids are in memory."""
        return len(self._counted)

    def fates(
        self, event_times_us: Sequence[int], record_ids: Sequence[bytes], comment_ids: Sequence[str], rules: Rules
    ) -> tuple[list[Fate], RunningMaximum]:
        """The fates of the partition's next accepted records, and the running maximum after them.

        Nothing is remembered yet.

        Args:
            event_times_us: in offset order.
            record_ids: in the same order.
            comment_ids: in the same order.
            rules: that decide the records.
        """
        times_us = np.asarray(event_times_us, np.int64)
        before_us, maximum = advance(self.maximum, times_us, comment_ids, rules)
        late = late_flags(before_us, times_us).tolist()
        seen = self._counted.among(record_ids)
        fates = []
        for record_id, is_late in zip(record_ids, late, strict=True):
            if is_late:
                fates.append(Fate.LATE)
            elif record_id in seen:
                fates.append(Fate.DUPLICATE)
            else:
                seen.add(record_id)
                fates.append(Fate.COUNTED)
        return fates, maximum

    def remember(
        self,
        event_times_us: Sequence[int],
        record_ids: Sequence[bytes],
        fates: Sequence[Fate],
        maximum: RunningMaximum,
    ) -> None:
        """Take over decided records and the running maximum after them; ids of closed panes are forgotten."""
        for event_time_us, record_id, fate in zip(event_times_us, record_ids, fates, strict=True):
            if fate is Fate.COUNTED:
                self._counted.add(record_id, event_time_us // PANE_US)
        self.maximum = maximum
        if maximum.newest_event_us is not None:
            # The first pane that is open: its end is the first beyond the watermark.
            self._counted.close_before(watermark_us(maximum.newest_event_us) // PANE_US)


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
