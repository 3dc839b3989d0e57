"""The ledger: store each batch in one fenced transaction. PostgreSQL is authoritative, Kafka's offset a hint.

A batch moves each of its partitions from ``lo`` to ``hi`` if and only if the partition is at offset ``lo``. It contains
exactly ``hi - lo`` decisions, dead letters and offsets in holes together. A worker that has lost a partition changes
nothing.

A worker does not create tables: `moderation partitions` creates the partitions of days, and DEFAULT takes rows of other
days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import psycopg

from moderation.adapters.sql import ledger_reads, ledger_writes, replays
from moderation.adapters.sql.ledger_connection import Durability, connect_ledger
from moderation.contracts import Pane, Rules
from moderation.errors import FenceLost, LedgerUnsafe, TopicRefused
from moderation.ledger import Batch, DecisionRow, Position, Versions

T = TypeVar("T")
# Panes count as published up to the watermark only: panes published before a reset may have changed since.
_MOVE = """
UPDATE speed.source_offsets SET next = %(next)s, published_next = greatest(published_next, %(published)s),
       panes_published_us = least(greatest(panes_published_us, %(panes)s), newest_event_us - 600000000),
       read_to_end_us = greatest(read_to_end_us, %(read_to_end)s)
 WHERE topic_id = %(topic_id)s AND partition = %(partition)s AND next = %(lo)s
"""
# A reset of the watermark does not change next: a worker that decided by the earlier maximum must fail here.
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
_ROUTINGS = 3
"""Maximum number of attempts to store a batch while table partitions change."""


def _nothing() -> None:
    return None


def _served(position: Position) -> tuple[Versions, Rules] | None:
    return None if position.versions is None or position.rules is None else (position.versions, position.rules)


def _ignore(results: Sequence[replays.ReplayResult]) -> None:
    return None


class Ledger:
    """The ledger of one topic, over one connection. Not thread-safe.

    Args:
        url: a libpq connection string.
        topic: name of the source topic.
        topic_id: Kafka's id of the topic.
        before_commit: called before the commit of each batch; for tests and fault injection.
        report_replays: called after each commit with the replay claims of the batch and their outcomes.
        durability: see :func:`connect_ledger`, whose errors the constructor raises.
    """

    def __init__(
        self,
        url: str,
        topic: str,
        topic_id: UUID,
        before_commit: Callable[[], None] = _nothing,
        report_replays: Callable[[Sequence[replays.ReplayResult]], None] = _ignore,
        durability: Durability = "server",
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self._url = url
        self._before_commit = before_commit
        self._report_replays = report_replays
        self._served: dict[int, tuple[Versions, Rules] | None] = {}
        self._durability = durability
        self._connection = connect_ledger(url, durability)

    def reconnect(self) -> None:
        """Replace a broken connection; raises the errors of the constructor."""
        self._connection.close()
        self._connection = connect_ledger(self._url, self._durability)

    def close(self) -> None:
        """Close the connection; a transaction under way is rolled back."""
        self._connection.close()

    def positions(self, log_starts: Mapping[int, int]) -> dict[int, Position]:
        """Read the positions of partitions; a new partition starts at the start of its log.

        Args:
            log_starts: first offset of the log, by partition.

        Raises:
            TopicRefused: the topic was re-created under a known name, or no longer has offsets that the ledger needs.
        """
        with self._connection.transaction(), self._connection.cursor() as cursor:
            self._refuse_unknown_topic(cursor)
            for partition, start in sorted(log_starts.items()):
                cursor.execute(
                    "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
                    "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    (self.topic_id, partition, self.topic, start, start, start),
                )
            positions = ledger_reads.positions(cursor, self.topic_id, list(log_starts))
        for partition, position in positions.items():
            if position.next < log_starts[partition]:
                raise TopicRefused(
                    f"topic {self.topic} partition {partition}",
                    f"offsets [{position.next}, {log_starts[partition]}) were deleted before they were read",
                    "Retention overtook the worker: `moderation accept-gap` shows the gap and accepts it.",
                )
            self._served[partition] = _served(position)
        return positions

    def begin_attempts(self, partitions: Iterable[int]) -> dict[int, int]:
        """Count an attempt at the current offset of each partition; storing a batch of the partition ends it.

        Returns:
            The number of earlier attempts at the same offset that neither stored a batch nor were given up, by
            partition: as many processes ended there.
        """
        earlier = {}
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for partition in sorted(partitions):
                cursor.execute(
                    "UPDATE speed.source_offsets SET attempt_at = next, "
                    "attempts = CASE WHEN attempt_at = next THEN attempts + 1 ELSE 1 END "
                    "WHERE topic_id = %s AND partition = %s RETURNING attempts",
                    (self.topic_id, partition),
                )
                row = cursor.fetchone()
                earlier[partition] = int(str(row[0])) - 1 if row else 0
        return earlier

    def give_up_attempts(self, partitions: Iterable[int]) -> None:
        """End the attempts of partitions that were revoked normally."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for partition in sorted(partitions):
                cursor.execute(
                    "UPDATE speed.source_offsets SET attempt_at = NULL WHERE topic_id = %s AND partition = %s "
                    "AND attempt_at = next",
                    (self.topic_id, partition),
                )

    def is_stored(self, ranges: Mapping[int, tuple[int, int]]) -> bool:
        """Whether a batch with these ranges is stored; call it after a commit with unknown outcome.

        Raises:
            FenceLost: partitions are neither at the beginning nor at the end of the batch.
        """
        with self._connection.transaction(), self._connection.cursor() as cursor:
            positions = ledger_reads.positions(cursor, self.topic_id, list(ranges))
        offsets = {partition: position.next for partition, position in positions.items()}
        if offsets == {partition: lo for partition, (lo, _) in ranges.items()}:
            return False
        if offsets != {partition: hi for partition, (_, hi) in ranges.items()}:
            raise self._fence_lost(
                f"partitions {sorted(ranges)}", f"they are at offsets {offsets}, expected {dict(ranges)}"
            )
        self._served.update({partition: _served(position) for partition, position in positions.items()})
        return True

    def store(self, batch: Batch) -> None:
        """Store a batch in one transaction.

        Raises:
            FenceLost: a partition is no longer at the beginning of the batch.
            ValueError: the batch does not account for every offset; nothing is stored.
            LedgerUnsafe: the table has no partition for a row, not even DEFAULT.
            psycopg.Error: the server failed; nothing is stored unless it failed during the commit, see
            :meth:`is_stored`.
        """
        self._require_whole(batch)
        changed, replay_results = self._routed(lambda: self._store(batch))
        self._served.update(dict.fromkeys(changed, (batch.versions, batch.rules)))
        self._report_replays(replay_results)

    def _store(self, batch: Batch) -> tuple[list[int], list[replays.ReplayResult]]:
        """Store a batch; return the partitions with changed versions, and the results of replays."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            # Read before the batch moves it: a batch does not reopen windows that it closes itself.
            closed_us = ledger_reads.closed_until_us(cursor, self.topic_id) if batch.panes else None
            self._move(cursor, batch)
            replay_results = self._write_rows(cursor, batch, closed_us)
            ledger_writes.copy_holes(cursor, "speed.holes", self.topic_id, batch.holes)
            serving = batch.versions, batch.rules
            changed = [partition for partition in batch.ranges if self._served.get(partition) != serving]
            for partition in changed:
                cursor.execute(
                    "INSERT INTO speed.served (topic_id, partition, from_offset, model_version, policy_version, "
                    "kernel_version, rules_version, earliest_event_us, override, model_digest) "
                    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                    (
                        self.topic_id,
                        partition,
                        batch.ranges[partition][0],
                        batch.versions.model_version,
                        batch.versions.policy_version,
                        batch.versions.kernel_version,
                        batch.rules.version,
                        batch.rules.earliest_event_us,
                        batch.versions.override,
                        batch.versions.model_digest,
                    ),
                )
            self._before_commit()
        return changed, replay_results

    def rehearse(self, batch: Batch) -> None:
        """Write the rows of a batch and roll back, to find rows that cannot be stored.

        Raises:
            psycopg.Error: the rows cannot be stored.
        """

        def rehearse() -> None:
            with self._connection.transaction(force_rollback=True), self._connection.cursor() as cursor:
                self._write_rows(cursor, batch)

        self._routed(rehearse)

    def _routed(self, write: Callable[[], T]) -> T:
        """Write rows; retry if a table partition was attached while one of its rows was routed to DEFAULT.

        Only the range of a table partition has no constraint name, and a record cannot violate it.
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
            "Attach speed.decisions_default as DEFAULT; `moderation migrate` does so if it never was attached.",
        )

    def _write_rows(
        self, cursor: ledger_writes.Cursor, batch: Batch, closed_until_us: int | None = None
    ) -> list[replays.ReplayResult]:
        ledger_writes.copy_decisions(cursor, self.topic_id, batch)
        ledger_writes.copy_dead_letters(cursor, self.topic_id, batch.dead_letters, batch.rules)
        ledger_writes.add_to_panes(cursor, self.topic_id, batch.panes, closed_until_us)
        return replays.close_replayed(cursor, self.topic_id, batch.replays)

    def mark_published(self, published: Mapping[int, int], panes_published_us: Mapping[int, int]) -> None:
        """Store what is published, outside of a batch (an idle stream, a clean stop).

        Args:
            published: first offset that may not be published, by partition.
            panes_published_us: end of the last published pane, by partition.
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
        """Store that partitions were read to their ends, outside of a batch (an idle stream), with the same fence.

        Args:
            reached: next offset, and the broker time at which it was the end of the log, by partition.

        Raises:
            FenceLost: a partition is no longer at that offset; nothing is stored.
        """
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for partition, (next_offset, read_to_end_us) in sorted(reached.items()):
                cursor.execute(
                    "UPDATE speed.source_offsets SET read_to_end_us = greatest(read_to_end_us, %s) "
                    "WHERE topic_id = %s AND partition = %s AND next = %s",
                    (read_to_end_us, self.topic_id, partition, next_offset),
                )
                if cursor.rowcount != 1:
                    raise self._fence_lost(f"partition {partition}", f"it is no longer at offset {next_offset}")

    def decisions_between(self, partition: int, lo: int, hi: int) -> Iterator[tuple[DecisionRow, Versions]]:
        """Read stored decisions with offsets in [lo, hi) and the versions that made them, in order."""
        with self._connection.transaction(), self._connection.cursor(name="unpublished") as cursor:
            yield from ledger_reads.decisions_between(cursor, self.topic_id, partition, lo, hi)

    def closed_panes(self, partition: int, after_us: int | None, upto_us: int) -> list[Pane]:
        """Panes that end in (after_us, upto_us], in order."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            return ledger_reads.closed_panes(cursor, self.topic, self.topic_id, partition, after_us, upto_us)

    def _require_whole(self, batch: Batch) -> None:
        expected = sum(hi - lo for lo, hi in batch.ranges.values())
        without = sum(hole.next - hole.first for hole in batch.holes)
        if expected != len(batch.decisions) + len(batch.dead_letters) + without:
            rows = f"{len(batch.decisions)} decisions, {len(batch.dead_letters)} dead letters, {without} in holes"
            raise ValueError(f"{rows} for {expected} offsets in {dict(batch.ranges)}")

    def _move(self, cursor: ledger_writes.Cursor, batch: Batch) -> None:
        # The fence. In the order of partitions, so that two workers that claim the same ones do not deadlock.
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
        topic_ids = [row[0] for row in cursor.fetchall()]
        if topic_ids and self.topic_id not in topic_ids:
            raise TopicRefused(
                f"topic {self.topic}",
                f"its id is {self.topic_id}, but the ledger accounts for {topic_ids[0]}: it was re-created",
                "Point the worker at another database, or adopt the new topic with `moderation accept-gap`.",
            )
