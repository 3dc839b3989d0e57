from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from stream.worker.metrics import show_by_partition


def test_a_released_partition_is_no_longer_shown() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("waiting", "Records.", ["partition"], registry=registry)
    show_by_partition(gauge, {0: 5, 1: 7})
    show_by_partition(gauge, {1: 3})
    shown = generate_latest(registry).decode().splitlines()
    assert [line for line in shown if line.startswith("waiting{")] == ['waiting{partition="1"} 3.0']
