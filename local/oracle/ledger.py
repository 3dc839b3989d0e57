"""Compare the ledger with the log: every offset accounted for once, equal digests, recomputed fates and panes."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import psycopg

from local.oracle.comparison import DeliveryReport, OracleReport
from local.oracle.event_time import LATENESS_US, PANE_US, PartitionClock, columns_digest, identity_of
from local.oracle.reading import Position

PaneKey = tuple[int, str, int, str, str]


@dataclass(frozen=True, slots=True)
class Logged:
    """A record of the topic, with digests instead of the body.

    Attributes:
        value_sha256: of the raw bytes.
        length: of the raw bytes.
        record_id: computed from the bytes; None if they are not a comment.
        columns: digest of the comment id, community and event time; None if the bytes are not a comment.
    """

    value_sha256: bytes
    length: int
    record_id: bytes | None
    columns: bytes | None

    @classmethod
    def of(cls, value: bytes) -> Logged:
        """Compute the digests of a record."""
        record_id: bytes | None
        columns: bytes | None
        try:
            record_id, columns = identity_of(value)
        except (ValueError, KeyError, TypeError, RecursionError):
            record_id = columns = None
        return cls(hashlib.sha256(value).digest(), len(value), record_id, columns)


@dataclass(frozen=True, slots=True)
class Row:
    """A decision of the ledger."""

    partition: int
    offset: int
    comment_id: str
    community: str
    event_time_us: int
    record_id: bytes
    score_ppm: int
    verdict: str
    model_version: str
    policy_version: str
    fate: str
    reasons: list[str] | None
    repairs: str | None = None
    inclusion_ppm: int | None = None

    @property
    def position(self) -> Position:
        """Partition and offset."""
        return self.partition, self.offset


@dataclass(frozen=True, slots=True)
class Closing:
    """A dead letter whose replay was decided, on the same topic.

    Attributes:
        letter: its partition and offset.
        replayed_as: partition and offset of the replay.
        contents: (SHA-256 in hexadecimal, length) of the record and, if there is one, of its correction.
    """

    letter: Position
    replayed_as: Position
    contents: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class LedgerContents:
    """Contents of the ledger for one topic, read in one snapshot.

    Attributes:
        rows: decisions in order of partition and offset.
        letters: (partition, offset, SHA-256 in hexadecimal, length).
        gaps: (partition, first offset, next offset).
        holes: (partition, first offset, next offset) of offsets without a record; without unreadable records.
        unreadable: (partition, first offset, next offset) of records that could not be read.
        panes: by key: comments, reviews, removals, score sum, late, first offset.
        positions: by partition: first, next, newest event time.
        served: by partition: (from offset, model version) in order.
        closings: dead letters whose replays were decided.
        candidates: by partition: event time and comment id of a record that may move the watermark later.
        rules: by partition: (from offset, rules version) in order.
        resets: by partition: (offset, event time that the watermark started again from there) in order of time.
    """

    rows: list[Row]
    letters: list[tuple[int, int, str, int]]
    gaps: list[tuple[int, int, int]]
    holes: list[tuple[int, int, int]]
    unreadable: list[tuple[int, int, int]]
    panes: Mapping[PaneKey, tuple[int, ...]]
    positions: Mapping[int, tuple[int, int, int | None]]
    served: Mapping[int, list[tuple[int, str]]]
    closings: list[Closing] = field(default_factory=list)
    candidates: Mapping[int, tuple[int, str]] = field(default_factory=dict)
    rules: Mapping[int, list[tuple[int, int]]] = field(default_factory=dict)
    resets: Mapping[int, list[tuple[int, int]]] = field(default_factory=dict)


def read_ledger(database_url: str, topic_id: str) -> LedgerContents:
    """Read the ledger of a topic in one repeatable-read transaction."""
    with psycopg.connect(database_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

        def ask(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query, (topic_id,)).fetchall()

        with connection.cursor(name="decisions") as cursor:
            cursor.itersize = 10_000
            cursor.execute(
                'SELECT partition, "offset", comment_id, community, event_time_us, record_id, score_ppm, verdict, '
                "model_version, policy_version, fate, reasons, repairs, inclusion_ppm FROM speed.decisions "
                'WHERE topic_id = %s ORDER BY partition, "offset"',
                (topic_id,),
            )
            rows = [Row(*row) for row in cursor]
        letters = ask('SELECT partition, "offset", raw_sha256, raw_length FROM speed.dead_letters WHERE topic_id = %s')
        closings = ask(
            'SELECT partition, "offset", replayed_as_partition, replayed_as_offset, raw_sha256, raw_length, '
            "corrected_sha256, corrected_length FROM speed.dead_letters "
            "WHERE topic_id = %s AND replayed_as_offset IS NOT NULL "
            "AND coalesce(replayed_as_topic_id, topic_id) = topic_id"
        )
        gaps = ask("SELECT partition, first_offset, next_offset FROM speed.gaps WHERE topic_id = %s")
        holes = ask(
            "SELECT partition, first_offset, next_offset, kind = 'unreadable' FROM speed.holes WHERE topic_id = %s"
        )
        panes = ask(
            "SELECT partition, community, start_us, model_version, policy_version, comments, reviews, removals, "
            "score_sum, late, first_offset FROM speed.panes WHERE topic_id = %s"
        )
        positions = ask("SELECT partition, first, next, newest_event_us FROM speed.source_offsets WHERE topic_id = %s")
        candidates = ask(
            "SELECT partition, candidate_event_us, candidate_comment_id FROM speed.source_offsets "
            "WHERE topic_id = %s AND candidate_event_us IS NOT NULL"
        )
        served, rules, resets = defaultdict(list), defaultdict(list), defaultdict(list)
        for partition, from_offset, version, rules_version in ask(
            "SELECT partition, from_offset, model_version, rules_version FROM speed.served WHERE topic_id = %s "
            "ORDER BY 1, 2"
        ):
            served[partition].append((from_offset, version))
            rules[partition].append((from_offset, rules_version))
        for partition, offset, newest_us in ask(
            'SELECT partition, "offset", newest_event_us FROM speed.watermark_resets WHERE topic_id = %s '
            "ORDER BY partition, reset_us"
        ):
            resets[partition].append((offset, newest_us))
    return LedgerContents(
        rows,
        [(row[0], row[1], row[2], row[3]) for row in letters],
        [(row[0], row[1], row[2]) for row in gaps],
        [(row[0], row[1], row[2]) for row in holes if not row[3]],
        [(row[0], row[1], row[2]) for row in holes if row[3]],
        {(row[0], row[1], row[2], row[3], row[4]): row[5:] for row in panes},
        {row[0]: (row[1], row[2], row[3]) for row in positions},
        served,
        [
            Closing((row[0], row[1]), (row[2], row[3]), (row[4:6], row[6:8]) if row[6] is not None else (row[4:6],))
            for row in closings
        ],
        {row[0]: (row[1], row[2]) for row in candidates},
        rules,
        resets,
    )


def compare_positions(
    report: OracleReport,
    log: Mapping[Position, Logged],
    ledger: LedgerContents,
    delivered: Iterable[DeliveryReport],
    ranges: Mapping[int, tuple[int, int]],
) -> None:
    """Check that every offset is accounted for exactly once, with the digest of its record.

    ``ranges`` contain start and end of the log by partition. Records below the start, which retention deleted, are not
    required.
    """
    seen: dict[Position, int] = defaultdict(int)
    report.records, report.decisions, report.dead_letters = len(log), len(ledger.rows), len(ledger.letters)
    for row in ledger.rows:
        seen[row.position] += 1
        if row.position in log:
            record, columns = log[row.position], columns_digest(row.comment_id, row.community, row.event_time_us)
            if (record.record_id, record.columns) != (bytes(row.record_id), columns):
                report.fault("altered", _text_of(row.position))
    for partition, offset, sha256, length in ledger.letters:
        position = partition, offset
        seen[position] += 1
        if position in log and (log[position].value_sha256.hex(), log[position].length) != (sha256, length):
            report.fault("altered", _text_of(position))
    report.gap_offsets, report.unreadable_offsets = _width(ledger.gaps), _width(ledger.unreadable)
    report.hole_offsets = _width(ledger.holes) + report.unreadable_offsets
    gaps, without = _Ranges(ledger.gaps + ledger.unreadable), _Ranges(ledger.holes + ledger.unreadable + ledger.gaps)
    for position in without.overlapping():
        report.fault("doubled", _text_of(position))
    for position, count in seen.items():
        if count + (position in without) > 1:
            report.fault("doubled", _text_of(position))
        if position not in log and position[1] >= ranges.get(position[0], (0, 0))[0]:
            report.fault("phantom", _text_of(position))
        elif position[1] >= ledger.positions.get(position[0], (0, 0, None))[1]:
            report.fault("phantom", f"{_text_of(position)}: not below next")
    for position in log.keys() - seen.keys():
        if position[1] >= ledger.positions.get(position[0], (0, 0, None))[0] and position not in gaps:
            report.fault("lost", _text_of(position))
    for partition, (first, next_offset, _) in ledger.positions.items():
        end = min(next_offset, ranges.get(partition, (0, 0))[1])
        # Offsets of records without a row are counted above.
        accounted = sum(
            position[0] == partition and first <= position[1] < end for position in seen.keys() | log.keys()
        )
        accounted += _width([each for each in ledger.gaps + ledger.unreadable + ledger.holes if each[0] == partition])
        if accounted < end - first:
            report.fault("lost", f"partition {partition}: {end - first - accounted} offsets are not accounted for")
        # A next offset beyond the log's end accounts for records that do not exist yet.
        if next_offset > ranges.get(partition, (0, 0))[1]:
            report.fault("phantom", f"partition {partition}: next {next_offset} lies beyond the log's end")
    for delivery in delivered:
        position = delivery.partition, delivery.offset
        if position[1] < ranges.get(position[0], (0, 0))[0]:
            continue
        if position not in log or log[position].value_sha256.hex() != delivery.value_sha256:
            report.fault("undelivered", _text_of(position))


def _width(ranges: Iterable[tuple[int, int, int]]) -> int:
    return sum(hi - lo for _, lo, hi in ranges)


class _Ranges:
    """Disjoint ranges of offsets. They may be wide, so they are searched and never expanded."""

    def __init__(self, ranges: Iterable[tuple[int, int, int]]) -> None:
        self._by_partition: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for partition, lo, hi in sorted(ranges):
            self._by_partition[partition].append((lo, hi))

    def __contains__(self, position: Position) -> bool:
        ranges_of_partition = self._by_partition.get(position[0], [])
        end = bisect_right(ranges_of_partition, position[1], key=lambda each: each[0])
        return end > 0 and position[1] < ranges_of_partition[end - 1][1]

    def overlapping(self) -> Iterator[Position]:
        """Yield the positions at which a range begins inside the one before it."""
        for partition, ranges_of_partition in self._by_partition.items():
            yield from (
                (partition, after[0]) for before, after in pairwise(ranges_of_partition) if after[0] < before[1]
            )


def compare_fates(report: OracleReport, ledger: LedgerContents) -> None:
    """Compare fates and watermark state with those recomputed in offset order."""
    by_partition: dict[int, list[Row]] = defaultdict(list)
    for row in ledger.rows:
        by_partition[row.partition].append(row)
    for partition in sorted(ledger.positions.keys() | by_partition.keys()):
        clock, resets = PartitionClock(), list(ledger.resets.get(partition, []))
        rules = ledger.rules.get(partition) or [(0, 1)]
        for row in by_partition[partition]:
            while resets and resets[0][0] <= row.offset:
                clock.reset(resets.pop(0)[1])
            version = rules[max(0, bisect_right(rules, row.offset, key=lambda each: each[0]) - 1)][1]
            fate = clock.fate(row.event_time_us, bytes(row.record_id), row.comment_id, version)
            if row.fate != fate:
                report.fault("fate_mismatches", f"{_text_of(row.position)}: {row.fate}, not {fate}")
        for _, newest_us in resets:
            clock.reset(newest_us)
        stored = ledger.positions.get(partition, (0, 0, None))[2], ledger.candidates.get(partition)
        if stored != (clock.newest_us, clock.candidate):
            expected = clock.newest_us, clock.candidate
            report.fault("fate_mismatches", f"partition {partition}: newest event time {stored}, not {expected}")


def compare_panes(report: OracleReport, ledger: LedgerContents) -> None:
    """Compare the panes with the GROUP BY of the decisions."""
    sums: dict[PaneKey, list[int | None]] = {}
    for row in ledger.rows:
        if row.fate == "duplicate":
            continue
        start_us = row.event_time_us - row.event_time_us % PANE_US
        key = row.partition, row.community, start_us, row.model_version, row.policy_version
        pane: list[Any] = sums.setdefault(key, [0, 0, 0, 0, 0, None])
        if row.fate == "late":
            pane[4] += 1
            continue
        for position, amount in enumerate((1, row.verdict == "review", row.verdict == "remove", row.score_ppm)):
            pane[position] += amount
        pane[5] = row.offset if pane[5] is None else min(pane[5], row.offset)
    for key in sums.keys() | ledger.panes.keys():
        if tuple(sums.get(key, ())) != tuple(ledger.panes.get(key, ())):
            report.fault("pane_mismatches", f"pane {key}: {ledger.panes.get(key)}, not {sums.get(key)}")


def compare_served(report: OracleReport, ledger: LedgerContents) -> None:
    """Check that every decision has the version that served at its offset."""
    for row in ledger.rows:
        served = ledger.served.get(row.partition, [])
        position = bisect_right(served, row.offset, key=lambda each: each[0])
        if not position or served[position - 1][1] != row.model_version:
            report.fault("misnamed", _text_of(row.position))


def compare_closings(
    report: OracleReport, log: Mapping[Position, Logged], ledger: LedgerContents, ranges: Mapping[int, tuple[int, int]]
) -> None:
    """Check that each closed letter was closed by one record with its bytes or those of its correction."""
    closed_by: set[Position] = set()
    for closing in ledger.closings:
        position, record = closing.replayed_as, log.get(closing.replayed_as)
        is_proven = record is not None and (record.value_sha256.hex(), record.length) in closing.contents
        is_gone = record is None and position[1] < ranges.get(position[0], (0, 0))[0]
        if position in closed_by or not (is_proven or is_gone):
            report.fault("misclosed", f"{_text_of(closing.letter)}, by {_text_of(position)}")
        closed_by.add(position)


def closed_panes(ledger: LedgerContents) -> dict[PaneKey, tuple[int, ...]]:
    """Return the panes with comments whose end the watermark has reached; only these are published."""
    closed = {}
    for key, sums in ledger.panes.items():
        newest_us = ledger.positions.get(key[0], (0, 0, None))[2]
        if sums[0] and newest_us is not None and key[2] + PANE_US <= newest_us - LATENESS_US:
            closed[key] = sums
    return closed


def _text_of(position: Position) -> str:
    return f"partition {position[0]} offset {position[1]}"
