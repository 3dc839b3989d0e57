"""From raw records to one stored batch. Plain code: knows the ledger and the kernel, not Kafka and not Faust."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from moderation.adapters.sql.batch import Batch, DecisionRow, Position, Replayed, Stamp, pane_sums
from moderation.contracts import (
    Comment,
    DeadLetter,
    DeadLetterReason,
    Decision,
    Fate,
    Pane,
    Verdict,
    dead_letter,
    parse_record,
)
from moderation.errors import InvalidRecord
from moderation.panes import PANE_US, OpenPanes, watermark_us
from moderation.policy import Policy
from moderation.scoring import Kernel, reasons_many
from moderation.text import KERNEL_VERSION
from stream import metrics
from stream.dead_letter_limit import DeadLetterLimit

MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the source topic, as it came: the value is not looked at before ``process``.

    ``replay_of`` is the header of that name: the dead letter it repeats, as ``topic id/partition/offset``.
    """

    partition: int
    offset: int
    append_us: int
    value: bytes
    replay_of: str | None = None


@dataclass(frozen=True, slots=True)
class ServingModel:
    """The model that decides at the moment."""

    kernel: Kernel
    policy: Policy
    model_version: str

    @property
    def stamp(self) -> Stamp:
        """The versions every decision of this model carries."""
        return Stamp(self.model_version, self.policy.policy_version, KERNEL_VERSION)


class Store(Protocol):
    """Where batches go; ``moderation.adapters.sql.patient_ledger.PatientLedger`` is the one in use."""

    topic: str
    topic_id: UUID

    def store(self, batch: Batch) -> bool:
        """Store a batch in one transaction, or nothing of it; True when it turned out to be stored already."""

    def decisions_between(self, partition: int, lo: int, hi: int) -> list[tuple[Decision, list[str] | None]]:
        """Stored decisions and their reasons with offsets in [lo, hi), in order."""

    def closed_panes(self, partition: int, after_us: int | None, upto_us: int) -> list[Pane]:
        """Panes that end in (after_us, upto_us], in order."""


@dataclass(frozen=True, slots=True)
class Published:
    """What stored records have to say on the topics.

    Attributes:
        decisions: each with its reasons, None where allowed.
        panes: those that were closed, in order within a partition.
        ranges: for each partition the offsets the decisions cover.
        panes_upto_us: for each partition the end up to which its panes are covered.
    """

    decisions: list[tuple[Decision, list[str] | None]] = field(default_factory=list)
    panes: list[Pane] = field(default_factory=list)
    ranges: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    panes_upto_us: Mapping[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Partition:
    """Where a partition stands: stored up to ``next``, surely on the topics up to the two others."""

    next: int
    published_next: int
    panes_published_us: int | None
    panes_handed_over_us: int | None
    open_panes: OpenPanes


class Processor:
    """Scores records and stores them, keeping count of where every partition stands.

    Args:
        store: the ledger.
        limit: told about every stored record.
    """

    def __init__(self, store: Store, limit: DeadLetterLimit) -> None:
        self._store = store
        self._limit = limit
        self._partitions: dict[int, _Partition] = {}

    def assign(self, positions: Mapping[int, Position]) -> Published:
        """Take over partitions at the positions the ledger gave; all others are forgotten.

        Returns:
            What may be missing on the topics, to be published before anything else.
        """
        self._partitions = {
            partition: _Partition(
                position.next,
                position.published_next,
                position.panes_published_us,
                position.panes_published_us,
                position.open_panes,
            )
            for partition, position in sorted(positions.items())
        }
        ranges = {partition: (p.published_next, p.next) for partition, p in self._partitions.items()}
        return self._from_ledger({p: (lo, hi) for p, (lo, hi) in ranges.items() if hi > lo}, self._partitions)

    def note_published(self, published: Published) -> None:
        """Note that this is surely on the topics; the next batch stores it."""
        for partition, (lo, hi) in published.ranges.items():
            standing = self._partitions.get(partition)
            if standing is not None and standing.published_next == lo:
                standing.published_next = hi
        for partition, upto_us in published.panes_upto_us.items():
            if (standing := self._partitions.get(partition)) is not None:
                standing.panes_published_us = max(standing.panes_published_us or upto_us, upto_us)

    @property
    def published(self) -> dict[int, int]:
        """Up to which offset decisions are surely published, by partition."""
        return {partition: standing.published_next for partition, standing in self._partitions.items()}

    @property
    def panes_published_us(self) -> dict[int, int]:
        """Up to which end panes are surely published, by partition."""
        return {
            partition: standing.panes_published_us
            for partition, standing in self._partitions.items()
            if standing.panes_published_us is not None
        }

    def process(self, records: Sequence[Record], model: ServingModel) -> Published:
        """Score and store records in one transaction.

        Records from before a partition's position were stored by an earlier batch and are passed over: after a
        rebalance some may still be on their way.

        Args:
            records: in offset order within each partition.
            model: decides all of them.

        Raises:
            RuntimeError: offsets are missing between the position and the records; nothing is stored.
            FenceLost: another worker owns a partition by now; nothing is stored.
            TooManyDeadLetters: the batch is stored, and a person must look.
        """
        fresh, ranges = self._contiguous(records)
        if not fresh:
            return Published()
        comments: list[tuple[Record, Comment]] = []
        letters: list[tuple[int, int, DeadLetter]] = []
        unreadable = []
        for record in fresh:
            try:
                comments.append((record, parse_record(record.value, record.append_us)))
                unreadable.append(False)
            except InvalidRecord as error:
                letters.append((record.partition, record.offset, dead_letter(record.value, record.append_us, error)))
                unreadable.append(error.reason != DeadLetterReason.FUTURE_DATED)
        rows = self._decide(comments, model)
        by_partition: dict[int, list[DecisionRow]] = {}
        for row in rows:
            by_partition.setdefault(row.partition, []).append(row)
        batch = Batch(
            ranges=ranges,
            stamp=model.stamp,
            decisions=rows,
            dead_letters=letters,
            panes=pane_sums(rows, model.stamp),
            newest_event_us={p: max(row.event_time_us for row in own) for p, own in by_partition.items()},
            replayed=[found for record, _ in comments if (found := _replayed(record)) is not None],
            published={p: self._partitions[p].published_next for p in ranges},
            panes_published_us={p: us for p, us in self.panes_published_us.items() if p in ranges},
        )
        found_stored = self._store.store(batch)
        self._advance(ranges, by_partition)
        _count(rows, letters)
        self._limit.note(unreadable)
        if found_stored:
            return self._from_ledger(ranges, ranges)
        topic, topic_id = self._store.topic, self._store.topic_id
        decisions = [(row.decision(topic, topic_id, model.stamp), row.reasons) for row in rows]
        panes, panes_upto_us = self._closed_panes(ranges)
        return Published(decisions, panes, ranges, panes_upto_us)

    def _contiguous(self, records: Sequence[Record]) -> tuple[list[Record], dict[int, tuple[int, int]]]:
        fresh: list[Record] = []
        upto = {partition: standing.next for partition, standing in self._partitions.items()}
        for record in records:
            expected = upto.get(record.partition)
            if expected is None or record.offset < expected:
                continue
            if record.offset > expected:
                raise RuntimeError(
                    f"partition {record.partition}: [{expected}, {record.offset}) never came; start again at {expected}"
                )
            upto[record.partition] = expected + 1
            fresh.append(record)
        moved = {p: (self._partitions[p].next, hi) for p, hi in upto.items() if hi > self._partitions[p].next}
        return fresh, moved

    def _decide(self, comments: Sequence[tuple[Record, Comment]], model: ServingModel) -> list[DecisionRow]:
        bodies = [comment.body for _, comment in comments]
        scores = model.kernel.score_many(bodies)
        verdicts = model.policy.verdicts(scores)
        alerted = [body for body, verdict in zip(bodies, verdicts, strict=True) if verdict is not Verdict.ALLOW]
        reasons = iter(reasons_many(model.kernel, alerted, MOST_REASONS))
        record_ids = [comment.record_id() for _, comment in comments]
        fates = self._fates(comments, record_ids)
        return [
            DecisionRow(
                partition=record.partition,
                offset=record.offset,
                append_us=record.append_us,
                comment_id=comment.comment_id,
                community=comment.community,
                event_time_us=comment.event_time_us,
                record_id=record_id,
                score_ppm=score_ppm,
                verdict=verdict,
                fate=fate,
                reasons=None if verdict is Verdict.ALLOW else next(reasons),
            )
            for (record, comment), record_id, fate, score_ppm, verdict in zip(
                comments, record_ids, fates, scores.tolist(), verdicts, strict=True
            )
        ]

    def _fates(self, comments: Sequence[tuple[Record, Comment]], record_ids: Sequence[bytes]) -> list[Fate]:
        places: dict[int, list[int]] = {}
        for place, (record, _) in enumerate(comments):
            places.setdefault(record.partition, []).append(place)
        fates = [Fate.COUNTED] * len(comments)
        for partition, own in places.items():
            times_us = [comments[place][1].event_time_us for place in own]
            found = self._partitions[partition].open_panes.fates(times_us, [record_ids[place] for place in own])
            for place, fate in zip(own, found, strict=True):
                fates[place] = fate
        return fates

    def _advance(self, ranges: Mapping[int, tuple[int, int]], rows: Mapping[int, Sequence[DecisionRow]]) -> None:
        for partition, (_, hi) in ranges.items():
            standing = self._partitions[partition]
            standing.next = hi
            own = rows.get(partition, ())
            standing.open_panes.remember(
                [row.event_time_us for row in own], [row.record_id for row in own], [row.fate for row in own]
            )

    def _closed_panes(self, partitions: Iterable[int]) -> tuple[list[Pane], dict[int, int]]:
        panes: list[Pane] = []
        upto: dict[int, int] = {}
        for partition in partitions:
            standing = self._partitions[partition]
            newest_us = standing.open_panes.newest_event_us
            if newest_us is None:
                continue
            after_us, upto_us = standing.panes_handed_over_us, watermark_us(newest_us)
            if after_us is not None and after_us // PANE_US >= upto_us // PANE_US:
                continue
            panes += self._store.closed_panes(partition, after_us, upto_us)
            upto[partition] = standing.panes_handed_over_us = upto_us
        return panes, upto

    def _from_ledger(self, ranges: Mapping[int, tuple[int, int]], partitions: Iterable[int]) -> Published:
        decisions = [
            found
            for partition, (lo, hi) in ranges.items()
            for found in self._store.decisions_between(partition, lo, hi)
        ]
        panes, panes_upto_us = self._closed_panes(partitions)
        return Published(decisions, panes, ranges, panes_upto_us)


def _replayed(record: Record) -> Replayed | None:
    """Which dead letter a record repeats; None for the others, and for a header that names none."""
    if record.replay_of is None:
        return None
    try:
        topic_id, partition, offset = record.replay_of.split("/")
        return Replayed(UUID(topic_id), int(partition), int(offset), record.partition, record.offset)
    except ValueError:
        return None


def _count(rows: Sequence[DecisionRow], letters: Sequence[tuple[int, int, DeadLetter]]) -> None:
    for fate, count in Counter(row.fate for row in rows).items():
        metrics.DECISIONS.labels(fate).inc(count)
    for reason, count in Counter(letter.reason for _, _, letter in letters).items():
        metrics.DEAD_LETTERS.labels(reason).inc(count)
