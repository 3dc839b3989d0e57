"""The ledger: one fenced transaction per batch. PostgreSQL is the truth, the Kafka offset a hint.

A batch moves each of its partitions from ``lo`` to ``hi`` if and only if the partition still stands at ``lo``, and
holds exactly ``hi - lo`` rows, decisions and dead letters together. Whoever lost a partition meanwhile changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import orjson
import psycopg

from moderation.adapters.sql import copying
from moderation.contracts import DeadLetter, Decision, Fate, Verdict
from moderation.errors import FenceLost, LedgerUnsafe, SourceRefused

_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes")
_DAYS_LOCK = 7_205_760


@dataclass(frozen=True, slots=True)
class Stamp:
    """The versions that made a batch's decisions."""

    model_version: str
    policy_version: str
    kernel_version: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stands; all are offsets, half-open.

    Attributes:
        next: first offset not yet accounted for.
        published_next: first offset whose decision is not surely published.
        stamp: the versions that decided last; None before the first decision.
    """

    next: int
    published_next: int
    stamp: Stamp | None


@dataclass(frozen=True, slots=True)
class DecisionRow:
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

    def decision(self, topic: str, topic_id: UUID, stamp: Stamp) -> Decision:
        """The decision as it is published: a pure function of what the ledger keeps."""
        return Decision(
            topic=topic,
            topic_id=str(topic_id),
            partition=self.partition,
            offset=self.offset,
            comment_id=self.comment_id,
            community=self.community,
            event_time_us=self.event_time_us,
            score_ppm=self.score_ppm,
            verdict=self.verdict,
            model_version=stamp.model_version,
            policy_version=stamp.policy_version,
            fate=self.fate,
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction stores.

    Attributes:
        ranges: for each partition the offsets [lo, hi) it accounts for.
        stamp: the versions that made the decisions.
        decisions: rows for comments.
        dead_letters: (partition, offset, letter) for records that are none.
        published: for each partition, up to which offset decisions are surely published by now.
    """

    ranges: Mapping[int, tuple[int, int]]
    stamp: Stamp
    decisions: list[DecisionRow]
    dead_letters: list[tuple[int, int, DeadLetter]]
    published: Mapping[int, int] = field(default_factory=dict)


class Ledger:
    """The ledger of one topic, over one connection. Not safe for threads.

    Args:
        url: a libpq connection string.
        topic: name of the source topic.
        topic_id: Kafka's id of it.

    Raises:
        LedgerUnsafe: a durability setting of the server is off, or the schema is missing.
        psycopg.OperationalError: the server cannot be reached; may be tried again.
    """

    def __init__(self, url: str, topic: str, topic_id: UUID) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self._known_days: set[str] = set()
        self._stamps: dict[int, Stamp | None] = {}
        self._connection = psycopg.connect(url, connect_timeout=10)
        try:
            self._require_safe()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection; a transaction under way is rolled back."""
        self._connection.close()

    def positions(self, log_starts: Mapping[int, int]) -> dict[int, Position]:
        """Read where partitions stand; a partition never seen starts at the log's start.

        Args:
            log_starts: for each partition asked for, the first offset the topic still has.

        Raises:
            SourceRefused: the topic was made anew under a known name, or no longer has offsets that are still needed.
        """
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT topic_id FROM speed.source_offsets WHERE topic = %s AND topic_id <> %s",
                (self.topic, self.topic_id),
            )
            if others := cursor.fetchall():
                raise SourceRefused(
                    f"topic {self.topic}",
                    f"its id is {self.topic_id}, but the ledger accounts for {others[0][0]}: it was made anew",
                    "Point the worker at another database, or accept the new topic with an operator's command.",
                )
            for partition, start in sorted(log_starts.items()):
                cursor.execute(
                    "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
                    "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    (self.topic_id, partition, self.topic, start, start, start),
                )
            cursor.execute(
                "SELECT o.partition, o.next, o.published_next, s.model_version, s.policy_version, s.kernel_version "
                "FROM speed.source_offsets o LEFT JOIN LATERAL (SELECT * FROM speed.served s "
                "WHERE (s.topic_id, s.partition) = (o.topic_id, o.partition) "
                "ORDER BY from_offset DESC LIMIT 1) s ON true "
                "WHERE o.topic_id = %s AND o.partition = ANY(%s)",
                (self.topic_id, list(log_starts)),
            )
            found = {row[0]: Position(row[1], row[2], None if row[3] is None else Stamp(*row[3:])) for row in cursor}
        for partition, position in found.items():
            if position.next < log_starts[partition]:
                raise SourceRefused(
                    f"topic {self.topic} partition {partition}",
                    f"offsets [{position.next}, {log_starts[partition]}) are gone before they were read",
                    "Retention overtook the worker: accept the gap with an operator's command, which records it.",
                )
            self._stamps[partition] = position.stamp
        return found

    def store(self, batch: Batch) -> None:
        """Store a batch in one transaction, or nothing of it.

        Raises:
            FenceLost: a partition no longer stands where the batch begins.
            ValueError: the batch does not hold one row for every offset; nothing is stored.
            psycopg.Error: the server failed; nothing is stored.
        """
        expected = sum(hi - lo for lo, hi in batch.ranges.values())
        if expected != len(batch.decisions) + len(batch.dead_letters):
            rows = f"{len(batch.decisions)} decisions and {len(batch.dead_letters)} dead letters"
            raise ValueError(f"{rows} for {expected} offsets in {dict(batch.ranges)}")
        self._ensure_days({copying.day_of(row.append_us).isoformat() for row in batch.decisions})
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for partition, (lo, hi) in sorted(batch.ranges.items()):
                cursor.execute(
                    "UPDATE speed.source_offsets SET next = %s, published_next = greatest(published_next, %s) "
                    "WHERE topic_id = %s AND partition = %s AND next = %s",
                    (hi, batch.published.get(partition, 0), self.topic_id, partition, lo),
                )
                if cursor.rowcount != 1:
                    raise FenceLost(
                        f"topic {self.topic} partition {partition}",
                        f"it no longer stands at {lo}: another worker has taken it over",
                        "Nothing was stored; start again to take part in the group.",
                    )
            self._copy_decisions(cursor, batch)
            self._copy_dead_letters(cursor, batch.dead_letters)
            changed = [partition for partition in batch.ranges if self._stamps.get(partition) != batch.stamp]
            for partition in changed:
                cursor.execute(
                    "INSERT INTO speed.served VALUES (%s, %s, %s, %s, %s, %s)",
                    (
                        self.topic_id,
                        partition,
                        batch.ranges[partition][0],
                        batch.stamp.model_version,
                        batch.stamp.policy_version,
                        batch.stamp.kernel_version,
                    ),
                )
        self._stamps.update(dict.fromkeys(changed, batch.stamp))

    def mark_published(self, published: Mapping[int, int]) -> None:
        """Note up to which offset decisions are surely published, outside a batch (an idle stream, a clean stop)."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for partition, offset in sorted(published.items()):
                cursor.execute(
                    "UPDATE speed.source_offsets SET published_next = greatest(published_next, least(%s, next)) "
                    "WHERE topic_id = %s AND partition = %s",
                    (offset, self.topic_id, partition),
                )

    def decisions_between(self, partition: int, lo: int, hi: int) -> Iterator[tuple[Decision, list[str] | None]]:
        """Read stored decisions and their reasons with offsets in [lo, hi), in order."""
        with self._connection.transaction(), self._connection.cursor(name="unpublished") as cursor:
            cursor.execute(
                'SELECT partition, "offset", append_us, comment_id, community, event_time_us, record_id, score_ppm, '
                "verdict, fate, reasons, model_version, policy_version, kernel_version FROM speed.decisions "
                'WHERE topic_id = %s AND partition = %s AND "offset" >= %s AND "offset" < %s ORDER BY "offset"',
                (self.topic_id, partition, lo, hi),
            )
            for found in cursor:
                _, offset, append_us, comment_id, community, event_time_us, record_id, score_ppm = found[:8]
                verdict, fate, reasons = found[8:11]
                row = DecisionRow(
                    partition,
                    offset,
                    append_us,
                    comment_id,
                    community,
                    event_time_us,
                    record_id,
                    score_ppm,
                    Verdict(verdict),
                    Fate(fate),
                    reasons,
                )
                yield row.decision(self.topic, self.topic_id, Stamp(*found[11:])), row.reasons

    def _require_safe(self) -> None:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for name in _SETTINGS:
                cursor.execute(f"SHOW {name}")
                row = cursor.fetchone()
                if row is None or row[0] != "on":
                    raise LedgerUnsafe(
                        f"PostgreSQL setting {name}",
                        f"it is {row and row[0]!r}, so a crash could lose what was acknowledged",
                        f"Set {name} = on.",
                    )
            cursor.execute("SELECT to_regclass('speed.source_offsets')")
            if cursor.fetchone() == (None,):
                raise LedgerUnsafe("PostgreSQL", "it has no table speed.source_offsets", "Run the migrations first.")

    def _ensure_days(self, days: Iterable[str]) -> None:
        for day in sorted(set(days) - self._known_days):
            with self._connection.transaction(), self._connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_DAYS_LOCK,))
                cursor.execute(
                    f"CREATE TABLE IF NOT EXISTS speed.decisions_{day.replace('-', '')} PARTITION OF speed.decisions "
                    f"FOR VALUES FROM ('{day}') TO ('{day}'::date + 1)"
                )
            self._known_days.add(day)

    def _copy_decisions(self, cursor: psycopg.Cursor[tuple[object, ...]], batch: Batch) -> None:
        stamp = batch.stamp
        versions = "\t".join(map(copying.text, (stamp.model_version, stamp.policy_version, stamp.kernel_version)))
        lines = [
            f"{copying.day_of(row.append_us)}\t{self.topic_id}\t{row.partition}\t{row.offset}\t{row.append_us}\t"
            f"{copying.text(row.comment_id)}\t{copying.text(row.community)}\t{row.event_time_us}\t"
            f"{copying.binary(row.record_id)}\t{row.score_ppm}\t{row.verdict}\t{versions}\t{row.fate}\t"
            f"{copying.NULL if row.reasons is None else copying.text(orjson.dumps(row.reasons).decode())}\n"
            for row in batch.decisions
        ]
        if lines:
            with cursor.copy("COPY speed.decisions FROM STDIN") as copy:
                copy.write("".join(lines))

    def _copy_dead_letters(
        self, cursor: psycopg.Cursor[tuple[object, ...]], letters: list[tuple[int, int, DeadLetter]]
    ) -> None:
        lines = [
            f"{self.topic_id}\t{partition}\t{offset}\t{letter.append_us}\t{letter.reason}\t"
            f"{copying.text(letter.detail)}\t{copying.binary(letter.raw)}\t{letter.raw_length}\t{letter.raw_sha256}\n"
            for partition, offset, letter in letters
        ]
        if lines:
            with cursor.copy("COPY speed.dead_letters FROM STDIN") as copy:
                copy.write("".join(lines))
