"""The law of event time once more, restated as slowly and plainly as possible: record by record over the whole log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MINUTE_US = 60 * 1_000_000


@dataclass(frozen=True)
class Seen:
    """An accepted record of one partition."""

    offset: int
    community: str
    event_time_us: int
    record_id: bytes
    verdict: str
    score_ppm: int


def fates_of(log: Iterable[tuple[int, bytes]]) -> list[str]:
    """The fates of (event time, record id) in offset order."""
    newest_us: int | None = None
    counted: set[bytes] = set()
    fates = []
    for event_time_us, record_id in log:
        pane_end_us = (event_time_us // (5 * MINUTE_US) + 1) * 5 * MINUTE_US
        if newest_us is not None and pane_end_us <= newest_us - 10 * MINUTE_US:
            fates.append("late")
        elif record_id in counted:
            fates.append("duplicate")
        else:
            counted.add(record_id)
            fates.append("counted")
        newest_us = event_time_us if newest_us is None else max(newest_us, event_time_us)
    return fates


def panes_of(log: Iterable[Seen], fates: Iterable[str]) -> dict[tuple[str, int], list[int]]:
    """For each community and pane start: comments, reviews, removals, score sum, late."""
    panes: dict[tuple[str, int], list[int]] = {}
    for record, fate in zip(log, fates, strict=True):
        start_us = record.event_time_us // (5 * MINUTE_US) * 5 * MINUTE_US
        if fate == "duplicate":
            continue
        sums = panes.setdefault((record.community, start_us), [0] * 5)
        if fate == "late":
            sums[4] += 1
            continue
        sums[0] += 1
        sums[1] += record.verdict == "review"
        sums[2] += record.verdict == "remove"
        sums[3] += record.score_ppm
    return panes
