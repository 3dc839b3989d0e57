"""Turn raw records into decisions: parse, score, verdict, fate. Uses neither Kafka nor the ledger.

The decider runs ahead of the ledger: while one batch is stored, it decides the next on the assumption that the first
will be stored. If it is not, the process ends, and the next process starts at the ledger's offset. Only if a record
causes the failure (:mod:`moderation.adapters.error_origin`), the batch is decided again without it in the same process.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from moderation.adapters import error_origin
from moderation.adapters.bisection import find_failing_items
from moderation.contracts import (
    EARLIEST_EVENT_US,
    NEWEST_RULES,
    Comment,
    Content,
    DeadLetter,
    DeadLetterReason,
    Fate,
    Hole,
    Read,
    Rules,
    Verdict,
    clipped,
    dead_letter,
    merged,
    named_letter,
    quarantined,
    read_record,
    to_json,
)
from moderation.errors import InvalidRecord, OffsetsGone
from moderation.ledger import Batch, DecisionRow, Position, ReplayClaim, pane_sums
from moderation.panes import OpenPanes
from moderation.policy import Ruling
from moderation.scoring import decision_reasons
from moderation.watermark import RunningMaximum
from stream.worker.messages import Decided, Record, RecordPosition, ServingModel

_CONTROL = "A control text that every model can score."
_CONTROL_COMMENT = Comment("control", "control", _CONTROL, EARLIEST_EVENT_US)
_CONTROL_RECORD = to_json(_CONTROL_COMMENT)
_WRONG_CLOCK = (DeadLetterReason.FUTURE_DATED, DeadLetterReason.PAST_DATED)
_log = logging.getLogger(__name__)
Judged = tuple[bytes, int, Ruling, list[str] | None]
"""Record id, score, ruling and reasons of a comment: everything that does not depend on other comments."""


@dataclass(slots=True)
class _Frontier:
    """Next offset of a partition and the state that determines the fate of its next record."""

    next: int
    open_panes: OpenPanes


class Decider:
    """Decides records in offset order and keeps the state that fates depend on. Not thread-safe.

    Args:
        rules: rules by which records are read.
    """

    def __init__(self, rules: Rules = NEWEST_RULES) -> None:
        self.rules = rules
        self._frontiers: dict[int, _Frontier] = {}
        self.is_narrowing = False
        """Whether the decider is searching for the records that cause a failure."""

    def assign(self, positions: Mapping[int, Position]) -> None:
        """Take over partitions at the positions of the ledger; forget all others."""
        self._frontiers = {
            partition: _Frontier(position.next, position.open_panes) for partition, position in positions.items()
        }

    def decide(
        self,
        records: Sequence[Record],
        model: ServingModel,
        failing: Mapping[RecordPosition, str] | None = None,
        holes: Sequence[Hole] = (),
    ) -> Decided | None:
        """Decide records; skip those before the partition's next offset, which are already decided.

        A record that makes deciding fail becomes a dead letter ``processing_failed``; the others are decided as if it
        did not exist.

        Args:
            records: in offset order within each partition.
            model: decides all of them.
            failing: error names of records that cannot be stored, by position.
            holes: offsets without a record, in order within each partition.

        Returns:
            The batch to store next; None if no record and no hole is new.

        Raises:
            OffsetsGone: offsets between the next offset and the records are in no hole.
            Exception: deciding fails, and no record is the cause.
        """
        fresh, ranges = self._contiguous(records, holes)
        if not ranges:
            return None
        comments: list[tuple[Record, Read]] = []
        ignored = 0
        letters: list[tuple[int, int, DeadLetter]] = []
        unreadable = []
        failed = dict(failing or {})
        for record in fresh:
            if failed and record.position in failed:
                unreadable.append(False)
                continue
            try:
                read = read_record(record.value, record.append_us, self.rules)
                comments.append((record, read))
                ignored += read.ignored
                unreadable.append(False)
            except InvalidRecord as error:
                letters.append((record.partition, record.offset, dead_letter(record.value, record.append_us, error)))
                unreadable.append(error.reason not in _WRONG_CLOCK)
            except Exception as error:
                if not error_origin.is_caused_by_record(error):
                    raise
                with suppress(InvalidRecord):  # the clock does not matter: reading works
                    read_record(_CONTROL_RECORD, record.append_us, self.rules)
                failed[RecordPosition(record.partition, record.offset)] = error_origin.class_name(error)
                unreadable.append(False)
        try:
            judged = judge(comments, model)
        except Exception as error:
            failed |= self._failing(comments, model, error)
            comments = [each for each in comments if each[0].position not in failed]
            judged = judge(comments, model)
        letters += [
            (record.partition, record.offset, _quarantine(record, failed[record.position]))
            for record in (fresh if failed else ())
            if record.position in failed
        ]
        rows, maxima = self._rows(comments, judged)
        by_partition: dict[int, list[DecisionRow]] = {}
        for row in rows:
            by_partition.setdefault(row.partition, []).append(row)
        batch = Batch(
            ranges=ranges,
            versions=model.versions,
            decisions=rows,
            dead_letters=letters,
            panes=pane_sums(rows, model.versions),
            maxima={p: (self._frontiers[p].open_panes.maximum, after) for p, after in maxima.items()},
            replays=[_claim(record) for record, _ in comments if record.replay_of],
            holes=_inside(holes, ranges) if holes else [],
            rules=self.rules,
        )
        self._advance(ranges, by_partition, maxima)
        return Decided(batch, unreadable, ignored)

    def _contiguous(
        self, records: Sequence[Record], holes: Sequence[Hole]
    ) -> tuple[list[Record], dict[int, tuple[int, int]]]:
        fresh: list[Record] = []
        upto = {partition: frontier.next for partition, frontier in self._frontiers.items()}
        ends = {(hole.partition, _first(hole, upto)): hole.next for hole in holes}
        for record in records:
            expected = upto.get(record.partition)
            if expected is None or record.offset < expected:
                continue
            if record.offset > expected:
                expected = _past(ends, record.partition, expected)
            if record.offset != expected:
                raise OffsetsGone(
                    f"partition {record.partition}",
                    f"[{expected}, {record.offset}) were not received",
                    f"The next process starts at {expected} and names the missing offsets.",
                )
            upto[record.partition] = expected + 1
            fresh.append(record)
        if ends:
            upto = {partition: _past(ends, partition, offset) for partition, offset in upto.items()}
        moved = {p: (self._frontiers[p].next, hi) for p, hi in sorted(upto.items()) if hi > self._frontiers[p].next}
        return fresh, moved

    def _failing(
        self, comments: Sequence[tuple[Record, Read]], model: ServingModel, error: Exception
    ) -> dict[RecordPosition, str]:
        """Return the comments that cannot be decided even alone; raise the error again if none of them is the cause."""
        if not error_origin.is_caused_by_record(error):
            raise error
        self.is_narrowing = True
        try:
            failures = find_failing_items(comments, lambda part: judge(part, model))
        finally:
            self.is_narrowing = False
        if not failures:
            raise error
        # If the kernel fails for every text, no record is the cause: this call raises then.
        judge([(failures[0][0][0], Read(_CONTROL_COMMENT))], model)
        decision_reasons(model.kernel, [_CONTROL])
        return {record.position: error_origin.class_name(cause) for (record, _), cause in failures}

    def _rows(
        self, comments: Sequence[tuple[Record, Read]], judged: Sequence[Judged]
    ) -> tuple[list[DecisionRow], dict[int, RunningMaximum]]:
        """Return the rows, and the running maximum after them for each of their partitions."""
        fates, maxima = self._fates(comments, [record_id for record_id, _, _, _ in judged])
        return decision_rows(comments, judged, fates), maxima

    def _fates(
        self, comments: Sequence[tuple[Record, Read]], record_ids: Sequence[bytes]
    ) -> tuple[list[Fate], dict[int, RunningMaximum]]:
        indexes: dict[int, list[int]] = {}
        for index, (record, _) in enumerate(comments):
            indexes.setdefault(record.partition, []).append(index)
        fates = [Fate.COUNTED] * len(comments)
        maxima = {}
        for partition, in_partition in indexes.items():
            partition_comments = [comments[index][1].comment for index in in_partition]
            partition_fates, maxima[partition] = self._frontiers[partition].open_panes.fates(
                [comment.event_time_us for comment in partition_comments],
                [record_ids[index] for index in in_partition],
                [comment.comment_id for comment in partition_comments],
                self.rules,
            )
            for index, fate in zip(in_partition, partition_fates, strict=True):
                fates[index] = fate
        return fates, maxima

    def _advance(
        self,
        ranges: Mapping[int, tuple[int, int]],
        rows: Mapping[int, Sequence[DecisionRow]],
        maxima: Mapping[int, RunningMaximum],
    ) -> None:
        for partition, (_, hi) in ranges.items():
            frontier = self._frontiers[partition]
            frontier.next = hi
            if partition_rows := rows.get(partition):
                frontier.open_panes.remember(
                    [row.event_time_us for row in partition_rows],
                    [row.record_id for row in partition_rows],
                    [row.fate for row in partition_rows],
                    maxima[partition],
                )


def judge(comments: Sequence[tuple[Record, Read]], model: ServingModel) -> list[Judged]:
    """Return the part of the decisions that does not depend on other comments."""
    bodies = [read.comment.body for _, read in comments]
    scores = model.kernel.score_many(bodies)
    record_ids = [read.comment.record_id() for _, read in comments]
    rulings = model.policy.decide(scores, record_ids, [read.repairs for _, read in comments], model.exploration_key)
    alerted = [body for body, ruling in zip(bodies, rulings, strict=True) if ruling.verdict is not Verdict.ALLOW]
    reasons = iter(decision_reasons(model.kernel, alerted))
    return [
        (record_id, score_ppm, ruling, None if ruling.verdict is Verdict.ALLOW else next(reasons))
        for record_id, score_ppm, ruling in zip(record_ids, scores.tolist(), rulings, strict=True)
    ]


def decision_rows(
    comments: Sequence[tuple[Record, Read]], judged: Sequence[Judged], fates: Sequence[Fate]
) -> list[DecisionRow]:
    """Return decisions as rows of the ledger; all arguments are in the same order."""
    return [
        DecisionRow(
            record.partition,
            record.offset,
            record.append_us,
            read.comment.comment_id,
            read.comment.community,
            read.comment.event_time_us,
            record_id,
            score_ppm,
            ruling.verdict,
            fate,
            reasons,
            read.repairs,
            ruling.inclusion_ppm,
            ruling.drawn_from,
        )
        for (record, read), (record_id, score_ppm, ruling, reasons), fate in zip(comments, judged, fates, strict=True)
    ]


def _first(hole: Hole, upto: Mapping[int, int]) -> int:
    """Return the first undecided offset of a hole; the next offset of its partition may be inside the hole."""
    frontier = upto.get(hole.partition, 0)
    return frontier if hole.first < frontier < hole.next else hole.first


def _past(ends: Mapping[tuple[int, int], int], partition: int, offset: int) -> int:
    """Return the first offset from this one on that is in no hole."""
    while (end := ends.get((partition, offset))) is not None:
        offset = end
    return offset


def _inside(holes: Iterable[Hole], ranges: Mapping[int, tuple[int, int]]) -> list[Hole]:
    parts = (clipped(hole, *ranges.get(hole.partition, (0, 0))) for hole in holes)
    return list(merged(sorted(part for part in parts if part is not None)))


def _quarantine(record: Record, error_class: str) -> DeadLetter:
    _log.error(
        "partition %d offset %d goes into quarantine: %s; the other records are decided",
        record.partition,
        record.offset,
        error_class,
    )
    return quarantined(record.value, record.append_us, error_class)


def _claim(record: Record) -> ReplayClaim:
    """Return the claim in a record's headers with the digest and length of its value."""
    named = named_letter(list(record.replay_of))
    return ReplayClaim(named, record.partition, record.offset, Content.of(record.value))
