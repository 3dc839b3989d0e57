"""Figures of docs/evidence from which sizes are computed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.bench.stream.soak import APART_US
from local.docs.evidence import EVIDENCE
from moderation.panes import LATENESS_US, PANE_US

REMEMBERED_US = LATENESS_US + PANE_US
"""Longest range of event time whose record ids a worker remembers."""
_WARM_RECORDS = 20_000


@dataclass(frozen=True, slots=True)
class Measurements:
    """Measured figures, read from the files of docs/evidence.

    Attributes:
        worker_per_s: comments that one worker decides a second.
        most_per_s: largest measured rate, with all workers of the machine.
        worker_cpu_per_1000: CPU seconds of the worker's own process for 1,000 comments.
        servers_cpu_per_1000: CPU seconds of broker and database together for 1,000 comments.
        half_load_p99_ms: 99th percentile of the latency at half of the worker's rate.
        high_load_p99_ms: the same at 90 % of the worker's rate.
        worker_bytes: peak resident memory of a worker after its first million comments.
        remembered: largest number of record ids that it remembered meanwhile.
        id_bytes: memory growth for each of them; an upper bound, because the lexicon grew at the same time.
        ledger_bytes, wal_bytes: of PostgreSQL for a comment: table and indexes; write-ahead log.
        topic_bytes: of Kafka for a comment on `comments`, `decisions` and `alerts` together, one copy.
        lake_bytes: of Parquet for a comment whose text repeats.
        value_bytes: of the same record uncompressed.
        archive_per_s: comments that one archiver archives a second.
        reconcile: rows of a day and the seconds that its reconciliation by digests took, without scoring; smallest
            first.
        snapshot_per_s: rows a second of which PostgreSQL computes digests, for the largest day.
        scored_per_s: comments of the lake scored again a second, by all cores of the machine.
        reconcile_bytes: peak memory of a reconciliation's processes.
        cores: of the machine.
    """

    worker_per_s: float
    most_per_s: float
    worker_cpu_per_1000: float
    servers_cpu_per_1000: float
    half_load_p99_ms: float
    high_load_p99_ms: float
    worker_bytes: int
    remembered: int
    id_bytes: float
    ledger_bytes: float
    wal_bytes: float
    topic_bytes: float
    lake_bytes: float
    value_bytes: float
    archive_per_s: float
    reconcile: tuple[tuple[int, float], ...]
    snapshot_per_s: float
    scored_per_s: float
    reconcile_bytes: int
    cores: int


def read(folder: Path = EVIDENCE) -> Measurements:
    """Read the evidence.

    Args:
        folder: with ``stream``, ``soak``, ``footprint``, ``archive``, ``batch`` and ``scored_day`` as JSON.

    Raises:
        OSError, KeyError: a file or a figure is missing.
    """
    stream, soak, footprint, archive, batch, scored_day = (
        _figures(folder, name) for name in ("stream", "soak", "footprint", "archive", "batch", "scored_day")
    )
    weights = footprint["bytes_per_comment"]
    remembered = REMEMBERED_US // APART_US
    return Measurements(
        worker_per_s=stream["worker_per_s"],
        most_per_s=max(stream["worker_per_s"], stream["worker2_per_s"]),
        worker_cpu_per_1000=stream["cpu_seconds_per_1000"]["worker"]["own"],
        servers_cpu_per_1000=stream["cpu_seconds_per_1000"]["worker"]["broker_and_database"],
        half_load_p99_ms=stream["latency"]["50"]["p99_ms"],
        high_load_p99_ms=stream["latency"]["90"]["p99_ms"],
        worker_bytes=soak["rss_bytes_most_after"],
        remembered=remembered,
        id_bytes=_growth(soak["samples"], remembered),
        ledger_bytes=weights["ledger"],
        wal_bytes=weights["wal"],
        topic_bytes=sum(weights["topics"].values()),
        lake_bytes=archive["bytes"] / archive["rows"],
        value_bytes=archive["value_bytes"] / archive["rows"],
        archive_per_s=archive["rows_per_s"],
        reconcile=tuple(zip(batch["rows"], batch["digest_seconds"], strict=True)),
        snapshot_per_s=batch["rows"][-1] / batch["digest_step_seconds"][-1]["snapshot"],
        scored_per_s=scored_day["rescore_per_s"],
        reconcile_bytes=batch["peak_rss_bytes"],
        cores=_machine(folder, "batch")["cores"],
    )


def _growth(samples: list[list[int]], remembered: int) -> float:
    """Return the growth in bytes per record, from the first sample of a warm worker until its ids are steady."""
    (first, small), (last, large) = (
        next((count, size) for count, size in samples if count >= least) for least in (_WARM_RECORDS, remembered)
    )
    return (large - small) / (last - first)


def _figures(folder: Path, name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())["figures"]
    return fields


def _machine(folder: Path, name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())["machine"]
    return fields
