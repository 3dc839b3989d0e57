"""Sizes and costs for a rate, computed from measurements and assumptions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from local.docs.scaling.assumptions import Assumptions
from local.docs.scaling.measurements import REMEMBERED_US, Measurements
from moderation.adapters.kafka.topics import COMMENTS
from moderation.settings import Settings

DAY_SECONDS = 86_400
_MONTH_DAYS = 30
_MILLION, _GB = 1e6, 1e9


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of all parts for a rate.

    Attributes:
        per_s: comments a second, day and night.
        beyond: ratio to the largest measured rate; up to 1 no figure of the workers is extrapolated.
        workers: at the assumed load.
        worker_cores: CPU they use, in cores.
        worker_gb: memory of each, with the record ids it remembers at this rate.
        partitions: twice the workers, so that their number may double; a multiple of the default.
        kafka_mb_per_s: written by all brokers together, copies included.
        kafka_tb: stored by all brokers.
        server_cores: CPU used by brokers and PostgreSQL together, in cores.
        commits_per_s: lower bound, with full batches.
        wal_mb_per_s: write-ahead log of one copy.
        ledger_tb_per_day: of one copy.
        servers: PostgreSQL servers, one copy of each shard.
        archivers: processes.
        lake_tb_per_year: for texts that repeat, and for records that do not compress at all.
        day_rows: comments of a day.
        snapshot_hours: time in which one PostgreSQL computes the digests of the day's rows.
        duckdb_hours: comparison of a day by digests on the measured machine, without scoring.
        is_one_machine_enough: whether the comparison is within the assumed limits of one machine.
        spark_cores: cores to compare within the assumed hours.
        scoring_hours: scoring the day's comments again on the measured machine.
        scoring_cores: cores of one machine to score them within the assumed hours.
    """

    per_s: float
    beyond: float
    workers: int
    worker_cores: float
    worker_gb: float
    partitions: int
    kafka_mb_per_s: float
    kafka_tb: float
    server_cores: float
    commits_per_s: float
    wal_mb_per_s: float
    ledger_tb_per_day: float
    servers: int
    archivers: int
    lake_tb_per_year: tuple[float, float]
    day_rows: float
    snapshot_hours: float
    duckdb_hours: float
    is_one_machine_enough: bool
    spark_cores: int
    scoring_hours: float
    scoring_cores: int


def size(per_s: float, measured: Measurements, assumed: Assumptions) -> Sizes:
    """Compute the sizes for a rate.

    Args:
        per_s: comments a second, more than 0.
        measured: measured figures.
        assumed: assumptions.
    """
    workers = math.ceil(per_s / (measured.worker_per_s * assumed.load))
    ids = per_s / workers * REMEMBERED_US / 1e6
    default = COMMENTS.partitions
    day_rows = per_s * DAY_SECONDS
    wal, ledger = per_s * measured.wal_bytes / _MILLION, day_rows * measured.ledger_bytes / 1e12
    seconds = _reconcile_seconds(day_rows, measured)
    is_enough = day_rows <= assumed.reconcile_rows_millions * _MILLION and seconds <= assumed.reconcile_hours * 3_600
    spark = seconds * measured.cores * assumed.spark_factor / (assumed.reconcile_hours * 3_600)
    scoring = day_rows / measured.scored_per_s
    year = day_rows * 365 / 1e12
    return Sizes(
        per_s=per_s,
        beyond=per_s / measured.most_per_s,
        workers=workers,
        worker_cores=per_s * measured.worker_cpu_per_1000 / 1_000,
        worker_gb=(measured.worker_bytes + max(0.0, ids - measured.remembered) * measured.id_bytes) / _GB,
        partitions=max(default, math.ceil(2 * workers / default) * default),
        kafka_mb_per_s=per_s * measured.topic_bytes * assumed.kafka_copies / _MILLION,
        kafka_tb=day_rows * assumed.kafka_days * measured.topic_bytes * assumed.kafka_copies / 1e12,
        server_cores=per_s * measured.servers_cpu_per_1000 / 1_000,
        commits_per_s=per_s / Settings().batch_most_records,
        wal_mb_per_s=wal,
        ledger_tb_per_day=ledger,
        servers=math.ceil(max(wal / assumed.server_wal_mb_per_s, ledger * assumed.ledger_days / assumed.server_tb)),
        archivers=math.ceil(per_s / (measured.archive_per_s * assumed.load)),
        lake_tb_per_year=(year * measured.lake_bytes, year * measured.value_bytes),
        day_rows=day_rows,
        snapshot_hours=day_rows / measured.snapshot_per_s / 3_600,
        duckdb_hours=seconds / 3_600,
        is_one_machine_enough=is_enough,
        spark_cores=0 if is_enough else math.ceil(spark),
        scoring_hours=scoring / 3_600,
        scoring_cores=math.ceil(scoring * measured.cores / (assumed.reconcile_hours * 3_600)),
    )


def _reconcile_seconds(rows: float, measured: Measurements) -> float:
    """Extrapolate linearly from the two largest measured days."""
    (fewer, faster), (more, slower) = measured.reconcile[-2:]
    return slower + (rows - more) * (slower - faster) / (more - fewer)


def costs(sizes: Sizes, measured: Measurements, assumed: Assumptions) -> dict[str, float]:
    """Return the cost of a million comments, by part.

    Args:
        sizes: of a rate.
        measured: measured figures.
        assumed: prices and retention times.
    """
    per_hour = sizes.per_s * 3_600 / _MILLION
    worker = sizes.workers * (assumed.vcpu_hour + sizes.worker_gb * assumed.gb_hour)
    servers = sizes.server_cores / assumed.load * assumed.vcpu_hour
    kafka = _kept_gb(measured.topic_bytes, assumed.kafka_days / _MONTH_DAYS, assumed.kafka_copies)
    ledger = _kept_gb(measured.ledger_bytes, assumed.ledger_days / _MONTH_DAYS, assumed.ledger_copies)
    lake = _kept_gb(measured.value_bytes, assumed.lake_months, 1)
    archiver_hours = _MILLION / measured.archive_per_s / 3_600
    comparison = (
        sizes.duckdb_hours * measured.cores
        if sizes.is_one_machine_enough
        else sizes.spark_cores * assumed.reconcile_hours
    )
    night = sizes.scoring_hours * measured.cores + comparison
    return {
        "workers": worker / per_hour,
        "brokers and PostgreSQL, CPU": servers / per_hour,
        "Kafka's disks": kafka * assumed.disk_gb_month,
        "the ledger's disks": ledger * assumed.disk_gb_month,
        "the lake": lake * assumed.object_gb_month,
        "archive and reconciliation": (archiver_hours + night / (sizes.day_rows / _MILLION)) * assumed.vcpu_hour,
    }


def _kept_gb(bytes_each: float, months: float, copies: float) -> float:
    """Return the GB-months of a million comments."""
    return bytes_each * _MILLION / _GB * months * copies
