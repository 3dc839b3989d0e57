"""From raw records to decisions: parse, score, verdict, fate. Plain code: knows neither Kafka nor the ledger.

It runs ahead of the ledger: while one batch is stored, the next is decided, on the assumption that the first will be
stored. If it is not, the process ends, and the next one begins where the ledger stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from moderation.adapters.sql.batch import Batch, DecisionRow, Position, Replayed, pane_sums
from moderation.contracts import Comment, DeadLetter, DeadLetterReason, Fate, Verdict, dead_letter, parse_record
from moderation.errors import InvalidRecord
from moderation.panes import OpenPanes
from moderation.scoring import reasons_many
from stream.records import Decided, Record, ServingModel

MOST_REASONS = 3


@dataclass(slots=True)
class _Frontier:
    """Up to where a partition is decided, and what the fate of its next record depends on."""

    next: int
    open_panes: OpenPanes


class Decider:
    """Decides records in offset order, remembering what fates depend on. Not safe for threads."""

    def __init__(self) -> None:
        self._frontiers: dict[int, _Frontier] = {}

    def assign(self, positions: Mapping[int, Position]) -> None:
        """Take over partitions at the positions the ledger gave; all others are forgotten."""
        self._frontiers = {
            partition: _Frontier(position.next, position.open_panes) for partition, position in positions.items()
        }

    def decide(self, records: Sequence[Record], model: ServingModel) -> Decided | None:
        """Decide records; those from before a partition's frontier were decided already and are passed over.

        Args:
            records: in offset order within each partition.
            model: decides all of them.

        Returns:
            What is to be stored next; None when no record is new.

        Raises:
            RuntimeError: offsets are missing between the frontier and the records.
        """
        fresh, ranges = self._contiguous(records)
        if not fresh:
            return None
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
            newest_event_us={p: max([row.event_time_us for row in own]) for p, own in by_partition.items()},
            replayed=[found for record, _ in comments if (found := _replayed(record)) is not None],
        )
        self._advance(ranges, by_partition)
        return Decided(batch, unreadable)

    def _contiguous(self, records: Sequence[Record]) -> tuple[list[Record], dict[int, tuple[int, int]]]:
        fresh: list[Record] = []
        upto = {partition: frontier.next for partition, frontier in self._frontiers.items()}
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
        moved = {p: (self._frontiers[p].next, hi) for p, hi in sorted(upto.items()) if hi > self._frontiers[p].next}
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
                record.partition,
                record.offset,
                record.append_us,
                comment.comment_id,
                comment.community,
                comment.event_time_us,
                record_id,
                score_ppm,
                verdict,
                fate,
                None if verdict is Verdict.ALLOW else next(reasons),
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
            found = self._frontiers[partition].open_panes.fates(times_us, [record_ids[place] for place in own])
            for place, fate in zip(own, found, strict=True):
                fates[place] = fate
        return fates

    def _advance(self, ranges: Mapping[int, tuple[int, int]], rows: Mapping[int, Sequence[DecisionRow]]) -> None:
        for partition, (_, hi) in ranges.items():
            frontier = self._frontiers[partition]
            frontier.next = hi
            own = rows.get(partition, ())
            frontier.open_panes.remember(
                [row.event_time_us for row in own], [row.record_id for row in own], [row.fate for row in own]
            )


def _replayed(record: Record) -> Replayed | None:
    """Which dead letter a record repeats; None for the others, and for a header that names none."""
    if record.replay_of is None:
        return None
    try:
        topic_id, partition, offset = record.replay_of.split("/")
        return Replayed(UUID(topic_id), int(partition), int(offset), record.partition, record.offset)
    except ValueError:
        return None
