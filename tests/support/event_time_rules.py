"""Independent restatement of the event-time rules: plain and slow, record by record over the whole log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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


HOUR_US = 60 * MINUTE_US


def fates_of(log: Iterable[tuple[int, bytes] | tuple[int, bytes, str]]) -> list[str]:
    """Return the fates of (event time, record id, comment id) in offset order; without comment id all ids differ."""
    return [fate for fate, _ in fates_and_maxima_of(log)]


def fates_and_maxima_of(
    log: Iterable[tuple[int, bytes] | tuple[int, bytes, str]],
    version: Callable[[int], int] = lambda index: 2,
    resets: Mapping[int, int] | None = None,
) -> list[tuple[str, tuple[int | None, tuple[int, str] | None]]]:
    """Return each record's fate with the maximum and the candidate (event time, comment id) after it.

    Args:
        log: (event time, record id, comment id) in offset order.
        version: version of the rules, by index.
        resets: maximum to restart at before a record, by index of the record.
    """
    newest_us: int | None = None
    waiting: tuple[int, str] | None = None
    counted: set[bytes] = set()
    found: list[tuple[str, tuple[int | None, tuple[int, str] | None]]] = []
    for index, (event_time_us, record_id, *comment_id) in enumerate(log):
        key = comment_id[0] if comment_id else record_id.hex()
        if resets and index in resets:
            newest_us, waiting = resets[index], None
        pane_end_us = (event_time_us // (5 * MINUTE_US) + 1) * 5 * MINUTE_US
        if newest_us is not None and pane_end_us <= newest_us - 10 * MINUTE_US:
            fate = "late"
        elif record_id in counted:
            fate = "duplicate"
        else:
            counted.add(record_id)
            fate = "counted"
        if newest_us is None:
            newest_us = event_time_us
        elif version(index) == 1:
            newest_us = max(newest_us, event_time_us)
        else:
            if waiting and waiting[0] - newest_us <= HOUR_US:
                waiting = None
            is_jump = event_time_us - newest_us > HOUR_US
            if not is_jump:
                newest_us = max(newest_us, event_time_us)
            elif not waiting:
                waiting = event_time_us, key
            elif waiting[1] == key:
                waiting = min(waiting[0], event_time_us), key
            else:  # two comments say that it is at least this late
                newest_us = min(waiting[0], event_time_us)
                waiting = waiting if waiting[0] > event_time_us else (event_time_us, key)
                if waiting[0] - newest_us <= HOUR_US:
                    newest_us = waiting[0]
            if waiting and waiting[0] - newest_us <= HOUR_US:
                waiting = None
        found.append((fate, (newest_us, waiting)))
    return found


def panes_of(log: Iterable[Seen], fates: Iterable[str]) -> dict[tuple[str, int], list[int]]:
    """Return comments, reviews, removals, score sum and late comments by community and pane start."""
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
