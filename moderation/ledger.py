"""What goes into the ledger in one transaction, and where a partition stands between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from moderation.contracts import (
    NEWEST_RULES,
    Content,
    DeadLetter,
    Fate,
    Hole,
    RecordPosition,
    Repair,
    Rules,
    Verdict,
)
from moderation.panes import OpenPanes, PaneKey, PaneSums, pane_start_us
from moderation.watermark import RunningMaximum


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions that made a batch's decisions."""

    model_version: str
    policy_version: str
    kernel_version: str


@dataclass(frozen=True, slots=True)
class Served:
    """From this offset on a version decided by these rules, until the next one."""

    from_offset: int
    versions: Versions
    rules: Rules = NEWEST_RULES


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stands; offsets are half-open.

    Attributes:
        next: first offset not yet accounted for.
        published_next: first offset whose decision is not surely published.
        panes_published_us: panes that end at or before this are surely published; None when none is.
        versions: the versions that decided last; None before the first decision.
        open_panes: what the fate of the next record depends on.
        last_append_us: append time of the record at ``next - 1``; None if the ledger has none there.
        rules: that read the last records; None before the first.
        read_to_end_us: latest broker time at which the partition was known to be read to its end; None if never.
    """

    next: int
    published_next: int
    panes_published_us: int | None
    versions: Versions | None
    open_panes: OpenPanes = field(repr=False, compare=False)
    last_append_us: int | None = None
    rules: Rules | None = None
    read_to_end_us: int | None = None


class DecisionRow(NamedTuple):
    """One decision as the ledger keeps it; topic and versions are the batch's."""

    partition: int
    offset: int
    append_us: int
    comment_id: str
    community: str
    event_time_us: int
    record_id: bytes
    score_ppm: int
    verdict: Verdict
    fate: Fate
    reasons: list[str] | None
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplayClaim:
    """A decided record whose headers say that it repeats a dead letter; see :mod:`moderation.contracts.replays`.

    Attributes:
        letter: the dead letter it names; None if the headers are malformed.
        partition, offset: position of the record.
        content: of its value.
    """

    letter: RecordPosition | None
    partition: int
    offset: int
    content: Content


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction stores.

    Attributes:
        ranges: for each partition the offsets [lo, hi) it accounts for.
        versions: the versions that made the decisions.
        decisions: rows for comments.
        dead_letters: (partition, offset, letter) for records that are none.
        panes: what the decisions add to panes.
        maxima: for each partition with comments, the running maximum of event times before and after them.
        replays: decided records that claim to repeat a dead letter.
        published: for each partition, up to which offset decisions are surely published by now.
        panes_published_us: for each partition, up to which end panes are surely published by now.
        holes: offsets without a record.
        rules: that read the records.
        read_to_end_us: for partitions that this batch reads to their ends, the broker time they were known to end at.
    """

    ranges: Mapping[int, tuple[int, int]]
    versions: Versions
    decisions: list[DecisionRow]
    dead_letters: list[tuple[int, int, DeadLetter]]
    panes: Mapping[PaneKey, PaneSums] = field(default_factory=dict)
    maxima: Mapping[int, tuple[RunningMaximum, RunningMaximum]] = field(default_factory=dict)
    replays: list[ReplayClaim] = field(default_factory=list)
    published: Mapping[int, int] = field(default_factory=dict)
    panes_published_us: Mapping[int, int] = field(default_factory=dict)
    holes: list[Hole] = field(default_factory=list)
    rules: Rules = NEWEST_RULES
    read_to_end_us: Mapping[int, int] = field(default_factory=dict)


def pane_sums(decisions: list[DecisionRow], versions: Versions) -> dict[PaneKey, PaneSums]:
    """What decisions add to panes, by pane; duplicates add nothing."""
    sums: dict[PaneKey, PaneSums] = {}
    for row in decisions:
        if row.fate is Fate.DUPLICATE:
            continue
        start_us = pane_start_us(row.event_time_us)
        key = PaneKey(row.partition, row.community, start_us, versions.model_version, versions.policy_version)
        pane = sums.get(key)
        if pane is None:
            pane = sums[key] = PaneSums()
        pane.add(row.offset, row.verdict, row.score_ppm, row.fate)
    return sums
