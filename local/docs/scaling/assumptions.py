"""Assumptions about choices and prices that were not measured; replace them by your own."""

from __future__ import annotations

from dataclasses import dataclass, field


def _assumption(default: float, meaning: str) -> float:
    """Declare a field with a description."""
    declared: float = field(default=default, metadata={"meaning": meaning})
    return declared


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Assumed values; the metadata of each field describe it."""

    load: float = _assumption(0.5, "share of its maximum with which a part is loaded; the latency was measured at half")
    kafka_copies: float = _assumption(3, "copies of every partition")
    kafka_days: float = _assumption(7, "days that topics keep records")
    ledger_copies: float = _assumption(2, "copies of the ledger: a primary and a standby")
    ledger_days: float = _assumption(7, "days of decisions that the ledger keeps; `moderation retire` drops older ones")
    lake_months: float = _assumption(12, "months that the lake is kept")
    server_wal_mb_per_s: float = _assumption(100, "MB of write-ahead log that one PostgreSQL writes and ships a second")
    server_tb: float = _assumption(10, "TB of ledger on one PostgreSQL")
    reconcile_hours: float = _assumption(2, "hours that a night's reconciliation may take")
    reconcile_rows_millions: float = _assumption(100, "million rows of a day that one machine may reconcile at most")
    spark_factor: float = _assumption(3, "times the CPU of DuckDB that Spark needs; not measured")
    vcpu_hour: float = _assumption(0.04, "price of a vCPU for an hour")
    gb_hour: float = _assumption(0.005, "price of a GB of memory for an hour")
    disk_gb_month: float = _assumption(0.10, "price of a GB of block storage for a month")
    object_gb_month: float = _assumption(0.023, "price of a GB of object storage for a month")
