"""Types of the ledger: the batch that one transaction stores, and the position of a partition between transactions."""

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
    """Versions of model, policy and kernel that decided a batch.

    Attributes:
        model_version, policy_version, kernel_version: of the decisions.
        override: reason and end of the override by which the model serves without certificate; None with one, and where
            only the versions are read.
        model_digest: SHA-256 of the model file, hexadecimal: another registry may give the number to another model.
            None where it is unknown.
    """

    model_version: str
    policy_version: str
    kernel_version: str
    override: str | None = None
    model_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """The versions and rules that decided the offsets from ``from_offset`` up to the next entry."""

    from_offset: int
    versions: Versions
    rules: Rules = NEWEST_RULES


@dataclass(frozen=True, slots=True)
class Position:
    """Progress of a partition in the ledger; offsets are half-open.

    Attributes:
        next: first offset that is not accounted for.
        published_next: first offset whose decision may not be published.
        panes_published_us: panes that end at or before this are published; None if none is.
        versions: versions of the last decision; None before the first.
        open_panes: state that the fate of the next record depends on.
        last_append_us: append time of the record at ``next - 1``; None if the ledger has no record there.
        rules: rules that read the last records; None before the first.
        read_to_end_us: latest broker time at which the partition was read to its end; None if never.
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
    """A decision as the ledger stores it; topic and versions are in the batch.

    ``inclusion_ppm`` and ``drawn_from`` are those of :class:`moderation.policy.Ruling`.
    """

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
    inclusion_ppm: int | None = None
    drawn_from: Verdict | None = None


@dataclass(frozen=True, slots=True)
class ReplayClaim:
    """A decided record whose header names a dead letter; see :mod:`moderation.contracts.replays`.

    Attributes:
        letter: position of the named dead letter; None if the headers are malformed.
        partition, offset: position of the record.
        content: length and digest of its value.
    """

    letter: RecordPosition | None
    partition: int
    offset: int
    content: Content


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything that one transaction stores.

    Attributes:
        ranges: offsets [lo, hi) that the batch accounts for, by partition.
        versions: versions that made the decisions.
        decisions: one row for each comment.
        dead_letters: (partition, offset, letter) for each record that is not a comment.
        panes: sums that the decisions add to panes.
        maxima: running maximum of event times before and after the batch, by partition with comments.
        replays: decided records that claim to repeat a dead letter.
        published: first offset that may not be published, by partition.
        panes_published_us: end of the last published pane, by partition.
        holes: offsets without a record.
        rules: rules that read the records.
        read_to_end_us: broker time at which the end was looked up, for partitions that this batch reads to the end.
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
    """Sum decisions by pane; duplicates add nothing."""
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
