"""Prometheus metrics of a worker; :mod:`stream.worker.metrics_server` serves them.

Names end in their unit; counters get ``_total``. This module declares all metrics of a worker.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from moderation.contracts import HoleKind, ReplayOutcome
from moderation.panes import watermark_us
from moderation.timestamps import now_us

REGISTRY = CollectorRegistry()
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

# Counts: their rates are comments, verdicts and dead letters a second.
DECISIONS = Counter("moderation_decisions", "Decisions stored, by fate.", ["fate"], registry=REGISTRY)
VERDICTS = Counter(
    "moderation_verdicts", "Decisions stored, by verdict and model version.", ["verdict", "version"], registry=REGISTRY
)
REPAIRS = Counter("moderation_repairs", "Repairs of records that were decided, by kind.", ["repair"], registry=REGISTRY)
IGNORED_FIELDS = Counter(
    "moderation_ignored_fields", "Unknown fields of records, which were ignored.", registry=REGISTRY
)
DEAD_LETTERS = Counter("moderation_dead_letters", "Dead letters stored, by reason.", ["reason"], registry=REGISTRY)
REPLAYS = Counter(
    "moderation_replays",
    "Decided records with a header replay_of, by outcome: closed, repeated, or ignored: malformed, unknown, mismatch.",
    ["outcome"],
    registry=REGISTRY,
)
for _outcome in ReplayOutcome:
    REPLAYS.labels(_outcome)  # from 0 on, so that the first one is an increase
ACCOUNTED = Counter(
    "moderation_accounted_offsets",
    "Offsets accounted for: decisions of every fate, dead letters and offsets without a record.",
    registry=REGISTRY,
)

# Speed: seconds of a batch in each stage; records of a batch.
STAGE_SECONDS = Histogram(
    "moderation_stage_seconds",
    "Seconds of one batch, by stage: decide, store, publish.",
    ["stage"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
FETCH_RECORDS = Histogram(
    "moderation_fetch_records",
    "Records that one fetch brought of one partition.",
    buckets=(1, 10, 50, 100, 250, 500, 1_000, 2_000, 5_000),
    registry=REGISTRY,
)
BATCH_RECORDS = Histogram(
    "moderation_batch_records",
    "Records of one batch.",
    buckets=(1, 10, 50, 100, 250, 500, 1_000, 2_000, 5_000),
    registry=REGISTRY,
)

# Lag: records that are not stored yet; age of the watermark.
LAG = Gauge("moderation_lag_records", "Records of an own partition not stored yet.", ["partition"], registry=REGISTRY)
UNREAD_PARTITIONS = Gauge(
    "moderation_unread_partitions",
    "Partitions of the topic that no worker of the group reads, as the brokers report it to this worker.",
    registry=REGISTRY,
)
OPEN_TRANSACTION = Gauge(
    "moderation_open_transaction_seconds",
    "Age of a transaction that is open for a minute or more; the records behind it wait.",
    ["partition"],
    registry=REGISTRY,
)
ARCHIVE_RETENTION_USED = Gauge(
    "moderation_archive_retention_used_ratio",
    "Age of the oldest record that is not in the lake, as a share of the topic's retention; at 1 it may be deleted.",
    ["topic", "partition"],
    registry=REGISTRY,
)
HOLE_OFFSETS = Counter(
    "moderation_hole_offsets", "Offsets without a record that were passed over, by kind.", ["kind"], registry=REGISTRY
)
for _kind in HoleKind:
    HOLE_OFFSETS.labels(_kind)  # from 0 on, so that the first one is an increase
MISSING_TOPICS = Gauge(
    "moderation_missing_topics",
    "Published topics that do not exist; decisions are stored and published later.",
    registry=REGISTRY,
)
STARTED = Gauge("moderation_worker_started_seconds", "When the worker started, Unix time.", registry=REGISTRY)
WATERMARK_DELAY = Gauge(
    "moderation_watermark_delay_seconds",
    "Now less the watermark of an own partition; below 600 where event times are ahead of the clock.",
    ["partition"],
    registry=REGISTRY,
)
PARTITION_DECISIONS = Counter(
    "moderation_partition_decisions", "Decisions of a partition.", ["partition"], registry=REGISTRY
)
PARTITION_LATE = Counter("moderation_partition_late", "Late ones among them.", ["partition"], registry=REGISTRY)

# Models.
MODEL_SWAPS = Counter("moderation_model_swaps", "Times another model version began to serve.", registry=REGISTRY)
MODEL_REFUSALS = Counter(
    "moderation_model_refusals", "Times a version that the alias named was refused.", ["version"], registry=REGISTRY
)
SERVING_MODEL = Gauge("moderation_serving_model", "1 for the version that serves.", ["version"], registry=REGISTRY)

SERVING_OVERRIDE = Gauge(
    "moderation_serving_override",
    "1 while the serving version has no certificate and serves by override; 2 if that override has ended and it serves "
    "on because no certified version can be opened; else 0.",
    registry=REGISTRY,
)


class RegistryState(StrEnum):
    """What a worker's last poll of the registry found."""

    FOLLOWED = "followed"
    """The alias names the version that serves."""
    REFUSED = "refused"
    """The alias names a version that does not verify."""
    NO_ALIAS = "no_alias"
    """No version has the alias: it was deleted, or the registered model was renamed or deleted."""
    NO_VERSION = "no_version"
    """The alias names a version that was deleted, or whose files were."""
    NO_ANSWER = "no_answer"
    """The registry does not answer, or refuses the account."""


REGISTRY_STATE = Gauge(
    "moderation_registry_state",
    "1 for what the last poll of the registry found: followed, refused, no_alias, no_version or no_answer.",
    ["state"],
    registry=REGISTRY,
)


def show_registry_state(state: RegistryState) -> None:
    """Set the gauge of a state to 1 and those of all others to 0."""
    for each in RegistryState:
        REGISTRY_STATE.labels(each).set(each is state)


class CommitLatency(Collector):
    """Histogram of seconds from the append of a comment to its commit; observes a whole batch at once."""

    name = "moderation_commit_latency_seconds"

    def __init__(self) -> None:
        self._counts = [0] * (len(_SECONDS) + 1)
        self._sum = 0.0

    def observe(self, now_us: int, append_us: Sequence[int]) -> None:
        """Observe the records of a commit.

        Args:
            now_us: time of the commit.
            append_us: append time of each record, in any order.
        """
        counts = self._counts
        for appended_us in append_us:
            seconds = (now_us - appended_us) / 1e6
            counts[bisect.bisect_left(_SECONDS, seconds)] += 1
            self._sum += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the histogram with cumulative buckets."""
        buckets: list[tuple[str, float]] = []
        upto = 0
        for bound, count in zip((*map(str, _SECONDS), "+Inf"), self._counts, strict=True):
            upto += count
            buckets.append((bound, upto))
        family = HistogramMetricFamily(self.name, "Seconds from the append of a comment to its commit.")
        family.add_metric([], buckets, self._sum)
        yield family


class FenceLosses(Collector):
    """Counter of lost fences per state folder. A lost fence ends the process, so a file stores the count."""

    def __init__(self) -> None:
        self._file: Path | None = None

    def remember_in(self, folder: Path) -> None:
        """Store the count in this folder; create it if absent."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "fence_losses"

    def note(self) -> None:
        """Count one loss as one byte: appending is safe even with two workers on one folder."""
        if self._file is not None:
            with self._file.open("ab") as file:
                file.write(b".")

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Yield the counter."""
        lost = self._file.stat().st_size if self._file is not None and self._file.exists() else 0
        yield CounterMetricFamily(
            "moderation_fence_losses", "Times another worker had taken over a partition.", value=lost
        )


COMMIT_LATENCY = CommitLatency()
FENCE_LOSSES = FenceLosses()
REGISTRY.register(COMMIT_LATENCY)
REGISTRY.register(FENCE_LOSSES)


def show_watermark_delays(newest_event_us: Mapping[int, int]) -> None:
    """Set the watermark delay of partitions from their largest event times."""
    current_us = now_us()
    show_by_partition(WATERMARK_DELAY, {p: (current_us - watermark_us(us)) / 1e6 for p, us in newest_event_us.items()})


def show_by_partition(gauge: Gauge, values: Mapping[int, float]) -> None:
    """Set a gauge for these partitions and remove all others, which other workers own now."""
    shown = {sample.labels["partition"] for family in gauge.collect() for sample in family.samples}
    for gone in shown - {str(partition) for partition in values}:
        gauge.remove(gone)
    for partition, value in values.items():
        gauge.labels(str(partition)).set(value)
