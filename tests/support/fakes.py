"""In-memory fakes of ledger, registry and published topics.

tests/contract runs one suite on each fake and on the real implementation. Fakes raise the same errors.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import psycopg

from moderation.contracts import Fate, Hole, Pane, Verdict
from moderation.errors import (
    FenceLost,
    ModelRefused,
    ModerationError,
    NotInRegistry,
    RegistryUnavailable,
    TopicsMissing,
)
from moderation.ledger import Batch, DecisionRow, Position, Versions
from moderation.panes import PANE_US, OpenPanes, PaneSums, closed_until_us, is_closed, is_reopened, pane_start_us
from moderation.policy import Policy
from moderation.scoring import Kernel
from moderation.watermark import NOTHING_SEEN, RunningMaximum
from stream.worker.messages import Publication, ServingModel


class MemoryLedger:
    """A ledger in memory; with ``outcome_unknown`` it has stored a batch without saying so."""

    def __init__(self) -> None:
        self.topic = "comments"
        self.topic_id = uuid.UUID(int=1)
        self.rows: dict[tuple[int, int], tuple[DecisionRow, Versions]] = {}
        self.letters: dict[tuple[int, int], str] = {}
        self.holes: list[Hole] = []
        self.panes: dict[tuple[int, str, int, str, str], PaneSums] = {}
        self.next: dict[int, int] = {}
        self.maxima: dict[int, RunningMaximum] = {}
        self.published: dict[int, int] = {}
        self.panes_published_us: dict[int, int] = {}
        self.read_to_end_us: dict[int, int] = {}
        self.reopened_until_us: dict[tuple[int, str, int, str, str], int] = {}
        self.versions_of: dict[int, Versions] = {}
        self.attempts: dict[int, tuple[int, int]] = {}
        self.outcome_unknown = False

    def rehearse(self, batch: Batch) -> None:
        """Refuse text with NUL, as PostgreSQL does."""
        if any("\0" in text for row in batch.decisions for text in (row.comment_id, row.community)):
            raise psycopg.DataError("NUL")

    def store(self, batch: Batch) -> bool:
        """Store a whole batch or nothing."""
        self.rehearse(batch)
        expected = sum(hi - lo for lo, hi in batch.ranges.values())
        without = sum(hole.next - hole.first for hole in batch.holes)
        if expected != len(batch.decisions) + len(batch.dead_letters) + without:
            raise ValueError(f"rows for {expected} offsets in {dict(batch.ranges)}")
        for partition, (lo, _) in batch.ranges.items():
            if self.next[partition] != lo:
                raise FenceLost(f"partition {partition}", f"it is at {self.next[partition]}, not at {lo}")
        closed_us = self.closed_until_us()
        for partition, (before, _) in batch.maxima.items():
            if self.maxima.get(partition, NOTHING_SEEN) != before:
                raise FenceLost(f"partition {partition}", f"its maximum is not {before}")
        self.maxima.update({partition: after for partition, (_, after) in batch.maxima.items()})
        for partition, (_, hi) in batch.ranges.items():
            self.next[partition] = hi
            self.versions_of[partition] = batch.versions
        self.rows.update({(row.partition, row.offset): (row, batch.versions) for row in batch.decisions})
        self.letters.update({(p, o): letter.reason for p, o, letter in batch.dead_letters})
        self.holes += batch.holes
        for key, sums in batch.panes.items():
            held = self.panes.setdefault(
                (key.partition, key.community, key.start_us, key.model_version, key.policy_version), PaneSums()
            )
            for name in ("comments", "reviews", "removals", "score_sum", "late"):
                setattr(held, name, getattr(held, name) + getattr(sums, name))
            if sums.comments and is_reopened(key.start_us, closed_us):
                self.reopened_until_us[key] = max(closed_us, self.reopened_until_us.get(key, closed_us))
        for kept, given in (
            (self.published, batch.published),
            (self.panes_published_us, batch.panes_published_us),
            (self.read_to_end_us, batch.read_to_end_us),
        ):
            kept.update({partition: max(value, kept.get(partition, value)) for partition, value in given.items()})
        return self.outcome_unknown

    def closed_until_us(self) -> int:
        """Windows that end at or before this are closed."""
        return min(
            closed_until_us(self.maxima.get(p, NOTHING_SEEN).newest_event_us, self.read_to_end_us.get(p))
            for p in self.next
        )

    def mark_read_to_end(self, reached: Mapping[int, tuple[int, int]]) -> None:
        """Store that all these partitions were read to their ends, or nothing."""
        for partition, (following, _) in reached.items():
            if self.next[partition] != following:
                raise FenceLost(f"partition {partition}", f"it is at {self.next[partition]}, not at {following}")
        for partition, (_, us) in reached.items():
            self.read_to_end_us[partition] = max(us, self.read_to_end_us.get(partition, us))

    def decisions_between(self, partition: int, lo: int, hi: int) -> list[tuple[DecisionRow, Versions]]:
        """Stored decisions with offsets in [lo, hi), in order."""
        return [
            (row, versions)
            for (p, offset), (row, versions) in sorted(self.rows.items(), key=lambda item: item[0])
            if p == partition and lo <= offset < hi
        ]

    def closed_panes(self, partition: int, after_us: int | None, upto_us: int) -> list[Pane]:
        """Panes with comments that end in (after_us, upto_us], in order."""
        return [
            Pane(
                self.topic,
                str(self.topic_id),
                p,
                community,
                start_us,
                start_us + PANE_US,
                model_version,
                policy_version,
                sums.comments,
                sums.reviews,
                sums.removals,
                sums.score_sum,
            )
            for (p, community, start_us, model_version, policy_version), sums in sorted(
                self.panes.items(), key=lambda item: (item[0][2], item[0])
            )
            if p == partition and sums.comments and (after_us or 0) < start_us + PANE_US <= upto_us
        ]

    def begin_attempts(self, partitions: Iterable[int]) -> dict[int, int]:
        """Count an assignment; return how many started at the same offset before."""
        found = {}
        for partition in partitions:
            at, count = self.attempts.get(partition, (None, 0))
            count = count + 1 if at == self.next[partition] else 1
            self.attempts[partition] = self.next[partition], count
            found[partition] = count - 1
        return found

    def give_up_attempts(self, partitions: Iterable[int]) -> None:
        """Delete the attempts of released partitions."""
        for partition in partitions:
            self.attempts.pop(partition, None)

    def positions(self, log_starts: Mapping[int, int]) -> dict[int, Position]:
        """Return the positions of partitions; an unknown partition is at the start of its log."""
        found = {}
        for partition, start in log_starts.items():
            self.next.setdefault(partition, start)
            self.published.setdefault(partition, start)
            maximum = self.maxima.get(partition, NOTHING_SEEN)
            counted: list[tuple[int, bytes]] = []
            for row, _ in self.rows.values():
                start_us = pane_start_us(row.event_time_us)
                is_open = not is_closed(start_us, maximum.newest_event_us)
                if row.partition == partition and row.fate is Fate.COUNTED and is_open:
                    counted.append((row.event_time_us, row.record_id))
            found[partition] = Position(
                self.next[partition],
                self.published[partition],
                self.panes_published_us.get(partition),
                self.versions_of.get(partition),
                OpenPanes(maximum, counted),
                read_to_end_us=self.read_to_end_us.get(partition),
            )
        return found


class MemoryRegistry:
    """In-memory alias and versions; versions in ``refused`` must not serve."""

    def __init__(self, kernel: Kernel, policy: Policy) -> None:
        self.alias: str | None = None
        self.away = False
        self.refusal: ModerationError | None = None
        self.refused: set[str] = set()
        self.deleted: set[str] = set()
        self.asked = threading.Semaphore(0)
        self._kernel = kernel
        self._policy = policy

    def resolve(self) -> str | None:
        """Return the version with the alias."""
        self.asked.release()
        if self.away:
            raise RegistryUnavailable("registry", "it is away")
        if self.refusal is not None:
            raise self.refusal
        return self.alias

    def open_version(self, version: str) -> ServingModel:
        """Return the model of a version."""
        if version in self.deleted:
            raise NotInRegistry(f"version {version}", "the registry has no such thing")
        if version in self.refused:
            raise ModelRefused(f"version {version}", "its certificate is not ours")
        return ServingModel(self._kernel, self._policy, version)


@dataclass
class MemoryTopics:
    """In-memory published topics; a key may be sent again only with the same value."""

    decisions: dict[tuple[int, int], tuple[DecisionRow, Versions]] = field(default_factory=dict)
    alerts: set[tuple[int, int]] = field(default_factory=set)
    panes: dict[tuple[int, str, int], Pane] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)

    def missing_topics(self) -> list[str]:
        """Return the missing topics."""
        return list(self.absent)

    def publish(self, publication: Publication) -> int:
        """Store decisions, alerts and panes; return their number."""
        if self.absent:
            raise TopicsMissing(self.absent)
        alerts = {(row.partition, row.offset) for row, _ in publication.decisions if row.verdict is not Verdict.ALLOW}
        for row, versions in publication.decisions:
            assert self.decisions.setdefault((row.partition, row.offset), (row, versions)) == (row, versions)
        for pane in publication.panes:
            assert self.panes.setdefault((pane.partition, pane.community, pane.start_us), pane) == pane
        self.alerts |= alerts
        return len(publication.decisions) + len(alerts) + len(publication.panes)
