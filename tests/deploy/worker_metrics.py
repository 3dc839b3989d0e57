"""Metrics of a worker as Prometheus reads them."""

from __future__ import annotations

from stream.worker.metrics import REGISTRY


def metrics() -> dict[str, set[str]]:
    """Names as Prometheus sees them, and their labels."""
    labels_by_name: dict[str, set[str]] = {}
    for collector in REGISTRY._collector_to_names:
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}[family.type]
            for end in ends:
                labels_by_name[family.name + end] = labels | ({"le"} if end == "_bucket" else set())
    return labels_by_name
