"""The ledger: one fenced transaction per batch. PostgreSQL is the truth, the Kafka offset a hint.

A batch moves each of its partitions from ``lo`` to ``hi`` if and only if the partition still stands at ``lo``, and
holds exactly ``hi - lo`` decisions, dead letters and offsets in holes together. Whoever lost a partition meanwhile
changes nothing.

A worker never creates tables: `moderation partitions` prepares the days, and DEFAULT takes rows of any other day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import psycopg

from moderation.adapters.sql import ledger_reads, ledger_writes, replays
from moderation.contracts import Pane, Rules
from moderation.errors import FenceLost, LedgerUnsafe, TopicRefused
from moderation.ledger import Batch, DecisionRow, Position, Versions

T = TypeVar("T")
# Panes are published up to the watermark at most: what a worker published before a reset may have changed since.
_MOVE = """
UPDATE speed.source_offsets SET next = %(next)s, published_next = greatest(published_next, %(published)s),
       panes_published_us = least(greatest(panes_published_us, %(panes)s), newest_event_us - 600000000),
       read_to_end_us = greatest(read_to_end_us, %(read_to_end)s)
 WHERE topic_id = %(topic_id)s AND partition = %(partition)s AND next = %(lo)s
"""
# A reset of the watermark leaves next as it is: a worker that decided by the maximum before it must not go on.
_MOVE_WITH_MAXIMUM = (
    _MOVE.replace(
        "\n WHERE",
        ", newest_event_us = %(newest)s, candidate_event_us = %(candidate)s, candidate_comment_id = %(comment)s WHERE",
    )
    + """
   AND newest_event_us IS NOT DISTINCT FROM %(old_newest)s::bigint
   AND candidate_event_us IS NOT DISTINCT FROM %(old_candidate)s::bigint
   AND candidate_comment_id IS NOT DISTINCT FROM %(old_comment)s::text
"""
)
_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes")
# A worker that freezes inside a transaction must not hold its partitions' locks for longer than a takeover takes.
_LIMITS = {"idle_in_transaction_session_timeout": "8s", "lock_timeout": "30s", "statement_timeout": "60s"}
_ROUTINGS = 3
"""How often a batch is stored again because partitions changed while it was stored."""


def _nothing() -> None:
    return None


def _served(position: Position) -> tuple[Versions, Rules] | None:
    return None if position.versions is None or position.rules is None else (position.versions, position.rules)


def _ignore(judged: Sequence[replays.ReplayResult]) -> None:
    return None


class Ledger:
    """The ledger of one topic, over one connection. Not safe for threads.

    Args:
        url: a libpq connection string.
        topic: name of the source topic.
        topic_id: Kafka's id of it.
        before_commit: called in each batch's transaction when everything is written; for tests and chaos.
        report_replays: called after each commit with the batch's claims to repeat dead letters, and their outcomes.

    Raises:
        LedgerUnsafe: a durability setting of the server is off, or the schema is missing.
        psycopg.OperationalError: the server cannot be reached; may be tried again.
    """

    def __init__(
        self,
        url: str,
        topic: str,
        topic_id: UUID,
        before_commit: Callable[[], None] = _nothing,
        report_replays: Callable[[Sequence[replays.ReplayResult]], None] = _ignore,
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self._url = url
        self._before_commit = before_commit
        self._report_replays = report_replays
        self._served: dict[int, tuple[Versions, Rules] | None] = {}
        self._connection = self._connect()

    def reconnect(self) -> None:
        """Open another connection in place of a broken one; see the class for what it raises."""
        self._connection.close()
        self._connection = self._connect()

    def close(self) -> None:
        """Close the connection; a transaction under way is rolled back."""
        self._connection.close()

    def positions(self, log_starts: Mapping[int, int]) -> dict[int, Position]:
        """Read where partitions stand; a partition never seen starts at the log's start.

        Args:
            log_starts: for each partition asked for, the first offset the topic still has.

        Raises:
            TopicRefused: the topic was made anew under a known name, or no longer has offsets that are still needed.
        """
        with self._connection.transaction(), self._connection.cursor() as cursor:
            self._refuse_unknown_topic(cursor)
            for partition, start in sorted(log_starts.items()):
                cursor.execute(
                    "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
                    "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    (self.topic_id, partition, self.topic, start, start, start),
                )
            found = ledger_reads.positions(cursor, self.topic_id, list(log_starts))
        for partition, position in found.items():
            if position.next < log_starts[partition]:
                raise TopicRefused(
                    f"topic {self.topic} partition {partition}",
                    f"offsets [{position.next}, {log_starts[partition]}) are gone before they were read",
                    "Retention overtook the worker: `moderation accept-gap` shows the gap and records it.",
                )
            self._served[partition] = _served(position)
        return found

    def begin_attempts(self, partitions: Iterable[int]) -> dict[int, int]:
        """Note that an assignment begins where partitions stand now; storing anything of them ends the attempt.

        Returns:
            For each partition how many attempts began at the same offset before and neither stored anything nor were
            given up: as many processes ended there.
        """
        found = {}
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for partition in sorted(partitions):
                cursor.execute(
                    "UPDATE speed.source_offsets SET attempt_at = next, "
                    "attempts = CASE WHEN attempt_at = next THEN attempts + 1 ELSE 1 END "
                    "WHERE topic_id = %s AND partition = %s RETURNING attempts",
                    (self.topic_id, partition),
                )
                row = cursor.fetchone()
                found[partition] = int(str(row[0])) - 1 if row else 0
        return found

    def give_up_attempts(self, partitions: Iterable[int]) -> None:
        """Note that partitions were let go in order: nothing ended there."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for partition in sorted(partitions):
                cursor.execute(
                    "UPDATE speed.source_offsets SET attempt_at = NULL WHERE topic_id = %s AND partition = %s "
                    "AND attempt_at = next",
                    (self.topic_id, partition),
                )

    def is_stored(self, ranges: Mapping[int, tuple[int, int]]) -> bool:
        """Whether a batch of these ranges is stored: after an error that left the outcome of its commit open.

        Raises:
            FenceLost: partitions stand neither where the batch begins nor where it ends.
        """
        with self._connection.transaction(), self._connection.cursor() as cursor:
            found = ledger_reads.positions(cursor, self.topic_id, list(ranges))
        stands = {partition: position.next for partition, position in found.items()}
        if stands == {partition: lo for partition, (lo, _) in ranges.items()}:
            return False
        if stands != {partition: hi for partition, (_, hi) in ranges.items()}:
            raise self._fence_lost(f"partitions {sorted(ranges)}", f"they stand at {stands}, not at {dict(ranges)}")
        self._served.update({partition: _served(position) for partition, position in found.items()})
        return True

    def store(self, batch: Batch) -> None:
        """Store a batch in one transaction, or nothing of it.

        Raises:
            FenceLost: a partition no longer stands where the batch begins.
            ValueError: the batch does not hold one row for every offset; nothing is stored.
            LedgerUnsafe: the table has no partition for a row, not even DEFAULT.
            psycopg.Error: the server failed; nothing is stored unless it failed during the commit, see ``is_stored``.
        """
        self._require_whole(batch)
        changed, judged = self._routed(lambda: self._store(batch))
        self._served.update(dict.fromkeys(changed, (batch.versions, batch.rules)))
        self._report_replays(judged)

    def _store(self, batch: Batch) -> tuple[list[int], list[replays.ReplayResult]]:
        """Store a batch; returns the partitions that another version serves from here on, and what replays came to."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            # Read before the batch moves it: a batch does not re-open windows that it closes itself.
            closed_us = ledger_reads.closed_until_us(cursor, self.topic_id) if batch.panes else None
            self._move(cursor, batch)
            judged = self._write_rows(cursor, batch, closed_us)
            ledger_writes.copy_holes(cursor, "speed.holes", self.topic_id, batch.holes)
            serving = batch.versions, batch.rules
            changed = [partition for partition in batch.ranges if self._served.get(partition) != serving]
            for partition in changed:
                cursor.execute(
                    "INSERT INTO speed.served (topic_id, partition, from_offset, model_version, policy_version, "
                    "kernel_version, rules_version, earliest_event_us) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                    (
                        self.topic_id,
                        partition,
                        batch.ranges[partition][0],
                        batch.versions.model_version,
                        batch.versions.policy_version,
                        batch.versions.kernel_version,
                        batch.rules.version,
                        batch.rules.earliest_event_us,
                    ),
                )
            self._before_commit()
        return changed, judged

    def rehearse(self, batch: Batch) -> None:
        """Write the rows of a batch and undo it; for finding out which of them cannot be stored.

        Raises:
            psycopg.Error: what storing them raises.
        """

        def rehearse() -> None:
            with self._connection.transaction(force_rollback=True), self._connection.cursor() as cursor:
                self._write_rows(cursor, batch)

        self._routed(rehearse)

    def _routed(self, write: Callable[[], T]) -> T:
        """Write rows, again if a partition was attached while DEFAULT was about to take one of its rows.

        Only a partition's range has no constraint name; a record cannot break it, so it must not be blamed.
        """
        for _ in range(_ROUTINGS):
            try:
                return write()
            except psycopg.errors.CheckViolation as error:
                if error.diag.constraint_name is not None:
                    raise
        raise LedgerUnsafe(
            "table speed.decisions",
            "no partition takes a row of the batch",
            "Attach speed.decisions_default as DEFAULT; `moderation migrate` does, where it never was.",
        )

    def _write_rows(
        self, cursor: ledger_writes.Cursor, batch: Batch, closed_until_us: int | None = None
    ) -> list[replays.ReplayResult]:
        ledger_writes.copy_decisions(cursor, self.topic_id, batch)
        ledger_writes.copy_dead_letters(cursor, self.topic_id, batch.dead_letters)
        ledger_writes.add_to_panes(cursor, self.topic_id, batch.panes, closed_until_us)
        return replays.close_replayed(cursor, self.topic_id, batch.replays)

    def mark_published(self, published: Mapping[int, int], panes_published_us: Mapping[int, int]) -> None:
        """Note what is surely published, outside a batch (an idle stream, a clean stop).

        Args:
            published: for each partition, up to which offset decisions are.
            panes_published_us: for each partition, up to which end panes are.
        """
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for partition, offset in sorted(published.items()):
                cursor.execute(
                    "UPDATE speed.source_offsets SET published_next = greatest(published_next, least(%s, next)), "
                    "panes_published_us = least(greatest(panes_published_us, %s), newest_event_us - 600000000) "
                    "WHERE topic_id = %s AND partition = %s",
                    (offset, panes_published_us.get(partition), self.topic_id, partition),
                )

    def mark_read_to_end(self, reached: Mapping[int, tuple[int, int]]) -> None:
        """Note that partitions were read to their ends, outside a batch (an idle stream); the fence is a batch's.

        Args:
            reached: for each partition the offset that is next, and the broker time it was known to be the log's end.

        Raises:
            FenceLost: a partition no longer is at that offset; nothing is noted.
        """
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for partition, (following, read_to_end_us) in sorted(reached.items()):
                cursor.execute(
                    "UPDATE speed.source_offsets SET read_to_end_us = greatest(read_to_end_us, %s) "
                    "WHERE topic_id = %s AND partition = %s AND next = %s",
                    (read_to_end_us, self.topic_id, partition, following),
                )
                if cursor.rowcount != 1:
                    raise self._fence_lost(f"partition {partition}", f"it is no longer at offset {following}")

    def decisions_between(self, partition: int, lo: int, hi: int) -> Iterator[tuple[DecisionRow, Versions]]:
        """Read stored decisions with offsets in [lo, hi) and the versions that made them, in order."""
        with self._connection.transaction(), self._connection.cursor(name="unpublished") as cursor:
            yield from ledger_reads.decisions_between(cursor, self.topic_id, partition, lo, hi)

    def closed_panes(self, partition: int, after_us: int | None, upto_us: int) -> list[Pane]:
        """Panes that end in (after_us, upto_us], in order; see :func:`ledger_reads.closed_panes`."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            return ledger_reads.closed_panes(cursor, self.topic, self.topic_id, partition, after_us, upto_us)

    def _require_whole(self, batch: Batch) -> None:
        expected = sum(hi - lo for lo, hi in batch.ranges.values())
        without = sum(hole.next - hole.first for hole in batch.holes)
        if expected != len(batch.decisions) + len(batch.dead_letters) + without:
            rows = f"{len(batch.decisions)} decisions, {len(batch.dead_letters)} dead letters, {without} in holes"
            raise ValueError(f"{rows} for {expected} offsets in {dict(batch.ranges)}")

    def _move(self, cursor: ledger_writes.Cursor, batch: Batch) -> None:
        # The fence. In the order of partitions: two workers that both believe to own some never wait in a circle.
        for partition, (lo, hi) in sorted(batch.ranges.items()):
            values: dict[str, object] = {
                "next": hi,
                "published": batch.published.get(partition, 0),
                "panes": batch.panes_published_us.get(partition),
                "read_to_end": batch.read_to_end_us.get(partition),
                "topic_id": self.topic_id,
                "partition": partition,
                "lo": lo,
            }
            cause = f"it is no longer at offset {lo}"
            if partition in batch.maxima:
                before, after = map(ledger_reads.maximum_columns, batch.maxima[partition])
                values |= dict(zip(("newest", "candidate", "comment"), after, strict=True))
                values |= dict(zip(("old_newest", "old_candidate", "old_comment"), before, strict=True))
                cause += f" with the running maximum {before}"
            cursor.execute(_MOVE_WITH_MAXIMUM if partition in batch.maxima else _MOVE, values)
            if cursor.rowcount != 1:
                raise self._fence_lost(f"partition {partition}", cause)

    def _fence_lost(self, what: str, cause: str) -> FenceLost:
        return FenceLost(
            f"topic {self.topic} {what}",
            f"{cause}: another worker took over, or `moderation skip`, `moderation accept-gap` or "
            "`moderation reset-watermark` changed it",
            "Nothing of the batch was stored; the next start reads the position again.",
        )

    def _refuse_unknown_topic(self, cursor: ledger_writes.Cursor) -> None:
        cursor.execute("SELECT DISTINCT topic_id FROM speed.source_offsets WHERE topic = %s", (self.topic,))
        known = [row[0] for row in cursor.fetchall()]
        if known and self.topic_id not in known:
            raise TopicRefused(
                f"topic {self.topic}",
                f"its id is {self.topic_id}, but the ledger accounts for {known[0]}: it was made anew",
                "Point the worker at another database, or take the new topic on with `moderation accept-gap`.",
            )

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        connection = psycopg.connect(self._url, connect_timeout=10)
        try:
            self._require_safe(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _require_safe(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            for name, limit in _LIMITS.items():
                cursor.execute("SELECT set_config(%s, %s, false)", (name, limit))
            for name in _SETTINGS:
                cursor.execute(f"SHOW {name}")
                row = cursor.fetchone()
                if row is None or row[0] != "on":
                    raise LedgerUnsafe(
                        f"PostgreSQL setting {name}",
                        f"it is {row and row[0]!r}, so a crash could lose what was acknowledged",
                        f"Set {name} = on.",
                    )
            cursor.execute("SELECT to_regclass('speed.panes')")
            if cursor.fetchone() == (None,):
                raise LedgerUnsafe("PostgreSQL", "it has no table speed.panes", "Run the migrations first.")
            cursor.execute(
                "SELECT FROM pg_partitioned_table WHERE partrelid = 'speed.decisions'::regclass AND partdefid <> 0"
            )
            if cursor.fetchone() is None:
                raise LedgerUnsafe(
                    "table speed.decisions",
                    "it has no DEFAULT partition",
                    "Run `moderation migrate`, or attach it again.",
                )
