"""From raw records to one stored batch. Plain code: knows the ledger and the kernel, not Kafka and not Faust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from moderation.adapters.sql.ledger import Batch, DecisionRow, Position, Stamp
from moderation.contracts import Comment, DeadLetter, Decision, Fate, Verdict, dead_letter, parse_record
from moderation.errors import InvalidRecord
from moderation.policy import Policy
from moderation.scoring import Kernel, reasons_many
from moderation.text import KERNEL_VERSION

MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the source topic, as it came: the value is not looked at before ``process``."""

    partition: int
    offset: int
    append_us: int
    value: bytes


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
    """Where batches go; ``moderation.adapters.sql.ledger.Ledger`` is the one in use."""

    topic: str
    topic_id: UUID

    def store(self, batch: Batch) -> None:
        """Store a batch in one transaction, or nothing of it."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a stored batch has to say on the topics: decisions, each with its reasons (None where allowed)."""

    decisions: list[tuple[Decision, list[str] | None]]
    ranges: Mapping[int, tuple[int, int]]


class Processor:
    """Scores records and stores them, keeping count of where every partition stands.

    Args:
        store: the ledger.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._next: dict[int, int] = {}
        self._published: dict[int, int] = {}

    def assign(self, positions: Mapping[int, Position]) -> None:
        """Take over partitions at the positions the ledger gave; all others are forgotten."""
        self._next = {partition: position.next for partition, position in positions.items()}
        self._published = {partition: position.published_next for partition, position in positions.items()}

    def note_published(self, ranges: Mapping[int, tuple[int, int]]) -> None:
        """Note that decisions of these offset ranges are surely on the topics; the next batch stores it."""
        for partition, (lo, hi) in ranges.items():
            if self._published.get(partition) == lo:
                self._published[partition] = hi

    @property
    def published(self) -> dict[int, int]:
        """Up to which offset decisions are surely published, by partition."""
        return dict(self._published)

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
        """
        fresh, ranges = self._contiguous(records)
        if not fresh:
            return Published([], {})
        comments: list[tuple[Record, Comment]] = []
        letters: list[tuple[int, int, DeadLetter]] = []
        for record in fresh:
            try:
                comments.append((record, parse_record(record.value, record.append_us)))
            except InvalidRecord as error:
                letters.append((record.partition, record.offset, dead_letter(record.value, record.append_us, error)))
        rows = _decide(comments, model)
        published = {partition: self._published[partition] for partition in ranges}
        self._store.store(Batch(ranges, model.stamp, rows, letters, published))
        self._next.update({partition: hi for partition, (_, hi) in ranges.items()})
        topic, topic_id = self._store.topic, self._store.topic_id
        return Published([(row.decision(topic, topic_id, model.stamp), row.reasons) for row in rows], ranges)

    def _contiguous(self, records: Sequence[Record]) -> tuple[list[Record], dict[int, tuple[int, int]]]:
        fresh: list[Record] = []
        upto = dict(self._next)
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
        moved = {p: (self._next[p], hi) for p, hi in upto.items() if hi > self._next[p]}
        return fresh, moved


def _decide(comments: Sequence[tuple[Record, Comment]], model: ServingModel) -> list[DecisionRow]:
    bodies = [comment.body for _, comment in comments]
    scores = model.kernel.score_many(bodies)
    verdicts = model.policy.verdicts(scores)
    alerted = [body for body, verdict in zip(bodies, verdicts, strict=True) if verdict is not Verdict.ALLOW]
    reasons = iter(reasons_many(model.kernel, alerted, MOST_REASONS))
    return [
        DecisionRow(
            partition=record.partition,
            offset=record.offset,
            append_us=record.append_us,
            comment_id=comment.comment_id,
            community=comment.community,
            event_time_us=comment.event_time_us,
            record_id=comment.record_id(),
            score_ppm=score_ppm,
            verdict=verdict,
            fate=Fate.COUNTED,
            reasons=None if verdict is Verdict.ALLOW else next(reasons),
        )
        for (record, comment), score_ppm, verdict in zip(comments, scores.tolist(), verdicts, strict=True)
    ]
