"""Store decided batches in the ledger; track stored and published offsets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from moderation.adapters import error_origin
from moderation.adapters.bisection import find_failing_items
from moderation.contracts import Fate, Hole, HoleKind, Pane, without_compaction
from moderation.ledger import Batch, DecisionRow, Position, Versions, pane_sums
from moderation.panes import PANE_US, closed_until_us, watermark_us
from moderation.timestamps import DAY_US, now_us
from stream.worker import metrics
from stream.worker.dead_letter_limit import DeadLetterLimit
from stream.worker.messages import Decided, Encoded, Publication, RecordPosition
from stream.worker.raw_budget import Letters, RawBudget
from stream.worker.read_to_end import EndTracker

_NO_PARTITION = -1


class Store(Protocol):
    """Ledger interface; production uses :class:`moderation.adapters.sql.retrying_ledger.RetryingLedger`."""

    def store(self, batch: Batch) -> bool:
        """Store a whole batch in one transaction; return True if it was already stored."""

    def rehearse(self, batch: Batch) -> None:
        """Write the rows of a batch and roll back; raise the error that prevents storing them."""

    def positions(self, log_starts: Mapping[int, int]) -> dict[int, Position]:
        """Return the positions of partitions."""

    def mark_read_to_end(self, reached: Mapping[int, tuple[int, int]]) -> None:
        """Store the broker time at which partitions ended at an offset; fenced like a batch."""

    def decisions_between(self, partition: int, lo: int, hi: int) -> list[tuple[DecisionRow, Versions]]:
        """Return stored decisions with offsets in [lo, hi) and the versions that made them, in order."""

    def closed_panes(self, partition: int, after_us: int | None, upto_us: int) -> list[Pane]:
        """Return panes that end in (after_us, upto_us], in order."""


@dataclass(slots=True)
class _PartitionState:
    """State of a partition: stored up to ``next``; published up to ``published_next`` and ``panes_published_us``."""

    next: int
    newest_event_us: int | None
    published_next: int
    panes_published_us: int | None
    panes_handed_over_us: int | None
    read_to_end_us: int | None

    def is_due(self, read_to_end_us: int) -> bool:
        """Return whether to store this time: windows may close by it, or what is stored is older than a pane.

        Windows end when panes do. Reconciliation needs the time of every partition, also of one without comments.
        """
        if self.read_to_end_us is None or read_to_end_us >= self.read_to_end_us + PANE_US:
            return True
        before_us, after_us = (
            closed_until_us(self.newest_event_us, us) // PANE_US for us in (self.read_to_end_us, read_to_end_us)
        )
        return after_us > before_us


class Recorder:
    """Stores batches one after another.

    ``note_published`` may be called by a different thread than the other methods.

    Args:
        store: the ledger.
        limit: counts every stored record.
        require_topic: called before each batch is stored; raises if the topic was re-created.
        budget: budget for the bytes of dead letters; None for no limit.
        encode: serializes a decision for the topics; None leaves this to the publisher. It runs before the decision
            is stored, so that a record for which it fails or ends the process can still be quarantined.
        is_compacted: returns whether the topic is compacted; called when records between others are missing.
        ends: tracker of the ends of partitions; None for none.
    """

    def __init__(
        self,
        store: Store,
        limit: DeadLetterLimit,
        require_topic: Callable[[], None] = lambda: None,
        budget: RawBudget | None = None,
        is_compacted: Callable[[], bool] = lambda: True,
        encode: Callable[[DecisionRow, Versions], Encoded] | None = None,
        ends: EndTracker | None = None,
    ) -> None:
        self._ends = ends
        self._encode = encode
        self._store = store
        self._limit = limit
        self._require_topic = require_topic
        self._budget = budget
        self._is_compacted = is_compacted
        self._partitions: dict[int, _PartitionState] = {}

    def assign(self, positions: Mapping[int, Position]) -> None:
        """Take over partitions at the positions of the ledger; forget all others."""
        self._partitions = {
            partition: _PartitionState(
                position.next,
                position.open_panes.maximum.newest_event_us,
                position.published_next,
                position.panes_published_us,
                position.panes_published_us,
                position.read_to_end_us,
            )
            for partition, position in sorted(positions.items())
        }

    def unpublished(self, most_offsets: int) -> tuple[Publication, bool]:
        """Read stored records that may not be published, in order; nothing must be stored meanwhile.

        Args:
            most_offsets: maximum number of offsets whose decisions are read. The last slice has the panes.

        Returns:
            The next slice, and whether it is the last one.
        """
        ranges = {}
        left = most_offsets
        for partition, state in self._partitions.items():
            upto = min(state.next, state.published_next + left)
            if upto > state.published_next:
                ranges[partition] = (state.published_next, upto)
                left -= upto - state.published_next
        is_last = all(
            state.next == ranges.get(partition, (0, state.published_next))[1]
            for partition, state in self._partitions.items()
        )
        for state in self._partitions.values() if is_last else ():
            state.panes_handed_over_us = state.panes_published_us
        return self._from_ledger(ranges, self._partitions if is_last else ()), is_last

    def note_published(self, publication: Publication) -> None:
        """Note that records are published; the next batch stores it."""
        for partition, (lo, hi) in publication.ranges.items():
            state = self._partitions.get(partition)
            if state is not None and state.published_next == lo:
                state.published_next = hi
        for partition, upto_us in publication.panes_upto_us.items():
            if (state := self._partitions.get(partition)) is not None:
                state.panes_published_us = max(state.panes_published_us or upto_us, upto_us)

    @property
    def stored(self) -> dict[int, int]:
        """First offset that is not stored, by partition."""
        return {partition: state.next for partition, state in self._partitions.items()}

    @property
    def newest_event_us(self) -> dict[int, int]:
        """Running maximum of stored event times, by partition."""
        return {
            partition: state.newest_event_us
            for partition, state in self._partitions.items()
            if state.newest_event_us is not None
        }

    @property
    def published(self) -> dict[int, int]:
        """First offset whose decision may not be published, by partition."""
        return {partition: state.published_next for partition, state in self._partitions.items()}

    @property
    def panes_published_us(self) -> dict[int, int]:
        """End up to which panes are published, by partition."""
        return {
            partition: state.panes_published_us
            for partition, state in self._partitions.items()
            if state.panes_published_us is not None
        }

    def store(self, decided: Decided) -> Publication:
        """Store a batch in one transaction.

        Returns:
            The records to publish.

        Raises:
            FenceLost: another worker owns a partition now; nothing is stored.
            TopicRefused: the topic was re-created; nothing is stored.
            TooManyDeadLetters: the limit is reached; the batch is stored.
        """
        self._require_topic()
        ranges = decided.batch.ranges
        batch = replace(
            decided.batch,
            dead_letters=self._budgeted(decided.batch.dead_letters),
            holes=self._without_wrong_compaction(decided.batch.holes),
            published={p: self._partitions[p].published_next for p in ranges},
            panes_published_us={p: us for p, us in self.panes_published_us.items() if p in ranges},
            read_to_end_us=self._read_to_end_us(decided.batch),
        )
        encoded = self._encoded(batch.decisions, batch.versions)
        was_stored = self._store.store(batch)
        for partition, (_, hi) in ranges.items():
            state = self._partitions[partition]
            state.next = hi
            if partition in batch.maxima:
                state.newest_event_us = batch.maxima[partition][1].newest_event_us
            state.read_to_end_us = batch.read_to_end_us.get(partition, state.read_to_end_us)
        _count(batch)
        metrics.IGNORED_FIELDS.inc(decided.ignored)
        self._limit.note(decided.unreadable)
        if was_stored:
            return self._from_ledger(ranges, ranges)
        panes, panes_upto_us = self._closed_panes(ranges)
        return Publication([(row, batch.versions) for row in batch.decisions], panes, ranges, panes_upto_us, encoded)

    def _read_to_end_us(self, batch: Batch) -> dict[int, int]:
        if self._ends is None:
            return {}
        unseen = set(batch.ranges)
        for row in batch.decisions:
            if row.partition in unseen:
                self._ends.compare(row.partition, row.offset, row.append_us)
                unseen.discard(row.partition)
                if not unseen:
                    break
        times_us = {partition: self._ends.read_to_end_us(partition, hi) for partition, (_, hi) in batch.ranges.items()}
        return {partition: us for partition, us in times_us.items() if us is not None}

    def observe_ends(self, partitions: Collection[int]) -> None:
        """Observe the ends of partitions. May be called by any thread."""
        if self._ends is not None:
            self._ends.observe({partition: at for partition, at in self.stored.items() if partition in partitions})

    @property
    def is_end_due(self) -> bool:
        """Whether to store that partitions were read to their ends."""
        return any(self._partitions[partition].is_due(us) for partition, (_, us) in self._reached().items())

    def note_read_to_end(self) -> None:
        """Store outside a batch that partitions were read to their ends; no batch of them is in progress.

        Raises:
            FenceLost: another worker owns a partition now; nothing is stored.
            TopicRefused: the topic was re-created; nothing is stored.
        """
        if reached := self._reached():
            self._require_topic()
            self._store.mark_read_to_end(reached)
            for partition, (_, us) in reached.items():
                self._partitions[partition].read_to_end_us = us

    def _reached(self) -> dict[int, tuple[int, int]]:
        if self._ends is None:
            return {}
        reached = {
            partition: (state.next, self._ends.read_to_end_us(partition, state.next))
            for partition, state in self._partitions.items()
        }
        return {partition: (next_offset, us) for partition, (next_offset, us) in reached.items() if us is not None}

    def _encoded(self, rows: Sequence[DecisionRow], versions: Versions) -> list[Encoded]:
        return [] if self._encode is None else [self._encode(row, versions) for row in rows]

    def _budgeted(self, letters: Letters) -> Letters:
        return letters if self._budget is None or not letters else self._budget.within(letters)

    def _without_wrong_compaction(self, holes: list[Hole]) -> list[Hole]:
        if not any(hole.kind is HoleKind.DELETED for hole in holes) or self._is_compacted():
            return holes
        return [without_compaction(hole) for hole in holes]

    def refused(self, decided: Decided) -> dict[RecordPosition, str]:
        """Return the records of a batch that cannot be encoded or stored even alone, with the class of the error.

        Raises:
            Exception: the ledger fails for another reason than a record, or refuses a valid row.
        """
        batch = decided.batch
        letters = {RecordPosition(partition, offset): letter for partition, offset, letter in batch.dead_letters}
        rows = {RecordPosition(row.partition, row.offset): row for row in batch.decisions}
        replays = {RecordPosition(each.partition, each.offset): each for each in batch.replays}

        def rehearse(positions: Sequence[RecordPosition]) -> None:
            decisions = [rows[position] for position in positions if position in rows]
            self._encoded(decisions, batch.versions)
            self._store.rehearse(
                replace(
                    batch,
                    decisions=decisions,
                    dead_letters=[(*position, letters[position]) for position in positions if position in letters],
                    panes=pane_sums(decisions, batch.versions),
                    replays=[replays[position] for position in positions if position in replays],
                )
            )

        refused = {
            position: error_origin.class_name(error)
            for position, error in find_failing_items(sorted(rows.keys() | letters), rehearse)
        }
        if refused and batch.decisions:
            # If every row breaks a rule, or a day has no partition, no record is the cause: this raises then.
            control = [_control(row) for row in {row.append_us // DAY_US: row for row in batch.decisions}.values()]
            self._encoded(control, batch.versions)
            panes = pane_sums(control, batch.versions)
            self._store.rehearse(replace(batch, decisions=control, dead_letters=[], panes=panes, replays=[]))
        return refused

    def positions(self) -> dict[int, Position]:
        """Return the positions of the assigned partitions in the ledger."""
        return self._store.positions(dict.fromkeys(self._partitions, 0))

    def _closed_panes(self, partitions: Iterable[int]) -> tuple[list[Pane], dict[int, int]]:
        panes: list[Pane] = []
        upto: dict[int, int] = {}
        for partition in partitions:
            state = self._partitions[partition]
            if state.newest_event_us is None:
                continue
            after_us, upto_us = state.panes_handed_over_us, watermark_us(state.newest_event_us)
            if after_us is not None and after_us // PANE_US >= upto_us // PANE_US:
                continue
            panes += self._store.closed_panes(partition, after_us, upto_us)
            upto[partition] = state.panes_handed_over_us = upto_us
        return panes, upto

    def _from_ledger(self, ranges: Mapping[int, tuple[int, int]], partitions: Iterable[int]) -> Publication:
        decisions = [
            decision
            for partition, (lo, hi) in ranges.items()
            for decision in self._store.decisions_between(partition, lo, hi)
        ]
        panes, panes_upto_us = self._closed_panes(partitions)
        return Publication(decisions, panes, ranges, panes_upto_us)


def _control(row: DecisionRow) -> DecisionRow:
    """Return a valid row of the same day at a position that no record has."""
    return row._replace(
        partition=_NO_PARTITION,
        offset=row.append_us,
        comment_id="control",
        community="control",
        record_id=bytes(32),
        reasons=["control"],
    )


def _count(batch: Batch) -> None:
    versions = batch.versions
    metrics.ACCOUNTED.inc(sum(hi - lo for lo, hi in batch.ranges.values()))
    metrics.BATCH_RECORDS.observe(len(batch.decisions) + len(batch.dead_letters))
    metrics.COMMIT_LATENCY.observe(now_us(), [row.append_us for row in batch.decisions])
    for fate, count in Counter([row.fate for row in batch.decisions]).items():
        metrics.DECISIONS.labels(fate).inc(count)
    for partition, count in Counter([row.partition for row in batch.decisions]).items():
        metrics.PARTITION_DECISIONS.labels(partition).inc(count)
        metrics.PARTITION_LATE.labels(partition)  # from 0 on, so that the first one is an increase
    for partition, count in Counter([row.partition for row in batch.decisions if row.fate is Fate.LATE]).items():
        metrics.PARTITION_LATE.labels(partition).inc(count)
    for verdict, count in Counter([row.verdict for row in batch.decisions]).items():
        metrics.VERDICTS.labels(verdict, versions.model_version).inc(count)
    for repair, count in Counter([repair for row in batch.decisions for repair in row.repairs]).items():
        metrics.REPAIRS.labels(repair).inc(count)
    for hole in batch.holes:
        metrics.HOLE_OFFSETS.labels(hole.kind).inc(hole.next - hole.first)
    for reason, count in Counter([letter.reason for _, _, letter in batch.dead_letters]).items():
        metrics.DEAD_LETTERS.labels(reason).inc(count)
