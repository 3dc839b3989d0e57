"""Event-time rules (panes, watermark, fate), shared by worker and batch.

A partition's watermark is the running maximum of the event times before an offset (:mod:`moderation.watermark`), less
the allowed lateness. A record is late if its pane ended at or before the watermark at its offset. A record that is not
late is a duplicate if its record id was counted before. The fate is a function of the log up to the record; it depends
neither on a clock nor on how the log is cut into batches.

A window is a sum of panes over all partitions. It also closes if the partitions were read to their ends after its end
plus the lateness, see :func:`closed_until_us`; that changes no fate.

A record that is not late belongs to an open pane. Only an operator's reset lowers the watermark, and the worker then
reads the record ids of open panes from the ledger again. So the record ids of open panes suffice to find duplicates.
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
"""Sums of a pane, which reconciliation compares between batch and speed layer."""


def pane_start_us(event_time_us: int) -> int:
    """Start of the pane that contains an event; panes are half-open, [start, start + PANE_US)."""
    return event_time_us - event_time_us % PANE_US


def watermark_us(newest_event_us: int) -> int:
    """The watermark for a running maximum of event times."""
    return newest_event_us - LATENESS_US


def is_closed(start_us: int, newest_event_us: int | None) -> bool:
    """Whether the watermark has reached the end of a pane, so that no later record is counted in it."""
    return newest_event_us is not None and start_us + PANE_US <= watermark_us(newest_event_us)


def closed_until_us(newest_event_us: int | None, read_to_end_us: int | None) -> int:
    """Return the time up to which the windows of a partition are closed; a topic takes the minimum of its partitions.

    Args:
        newest_event_us: running maximum of event times; None before the first comment.
        read_to_end_us: latest broker time at which the partition was read to its end; None if never.

    Returns:
        Microseconds since the epoch; far below any event time if nothing is closed.
    """
    by_watermark = NO_EVENT_US if newest_event_us is None else watermark_us(newest_event_us)
    by_end = NO_EVENT_US if read_to_end_us is None else read_to_end_us - LATENESS_US - 1
    return max(by_watermark, by_end)


def is_reopened(start_us: int, closed_until_us: int | None) -> bool:
    """Whether a comment counted in a pane changes a closed window, whose last pane it may be.

    Args:
        start_us: start of the pane.
        closed_until_us: windows that end at or before this are closed; None if none is.
    """
    return closed_until_us is not None and start_us + PANE_US <= closed_until_us


def late_flags(newest_before_us: NDArray[np.int64], event_times_us: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which records of a partition are late.

    Args:
        newest_before_us: the running maximum before each record, shape (n,); see :func:`moderation.watermark.advance`.
        event_times_us: event times of the records, shape (n,).

    Returns:
        True where late, shape (n,).
    """
    ends = event_times_us - event_times_us % PANE_US + PANE_US
    return ends <= newest_before_us - LATENESS_US


class OpenPanes:
    """State of a partition that determines the fate of its next record.

    Args:
        maximum: running maximum after the records so far.
        counted: (event time, record id) of the records counted in open panes; see :mod:`moderation.record_ids`.
    """

    def __init__(self, maximum: RunningMaximum = NOTHING_SEEN, counted: Iterable[tuple[int, bytes]] = ()) -> None:
        self.maximum = maximum
        self._counted = RecordIds()
        for event_time_us, record_id in counted:
            self._counted.add(record_id, event_time_us // PANE_US)

    @property
    def remembered(self) -> int:
        """Number of record ids in memory."""
        return len(self._counted)

    def fates(
        self, event_times_us: Sequence[int], record_ids: Sequence[bytes], comment_ids: Sequence[str], rules: Rules
    ) -> tuple[list[Fate], RunningMaximum]:
        """Return the fates of the next accepted records, and the running maximum after them. The state does not change.

        Args:
            event_times_us: of the records, in offset order.
            record_ids: of the same records.
            comment_ids: of the same records.
            rules: rules that decide the records.
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
        """Update the state with decided records and the maximum after them; ids of closed panes are removed."""
        for event_time_us, record_id, fate in zip(event_times_us, record_ids, fates, strict=True):
            if fate is Fate.COUNTED:
                self._counted.add(record_id, event_time_us // PANE_US)
        self.maximum = maximum
        if maximum.newest_event_us is not None:
            # The first open pane is the first that ends after the watermark.
            self._counted.close_before(watermark_us(maximum.newest_event_us) // PANE_US)


class PaneKey(NamedTuple):
    """Key of a pane."""

    partition: int
    community: str
    start_us: int
    model_version: str
    policy_version: str


@dataclass(slots=True)
class PaneSums:
    """Sums of decisions in a pane; late decisions count in ``late`` only.

    Attributes:
        comments, reviews, removals: counted decisions, and those with verdict review or remove.
        score_sum: sum of ``score_ppm`` over the counted decisions.
        late: decisions on records that arrived after the pane closed.
        first_offset: smallest offset of a counted decision; None without one.
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
