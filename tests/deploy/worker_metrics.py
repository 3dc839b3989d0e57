"""What Prometheus sees of a worker."""

from __future__ import annotations

from stream.worker.metrics import REGISTRY


def metrics() -> dict[str, set[str]]:
    """Names as Prometheus sees them, and their labels."""
    found: dict[str, set[str]] = {}
    for collector in REGISTRY._collector_to_names:
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}[family.type]
            for end in ends:
                found[family.name + end] = labels | ({"le"} if end == "_bucket" else set())
    return found
