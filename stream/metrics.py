"""What a worker counts, for Prometheus. Served by a thread of its own, so that it answers while the loop is busy."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

REGISTRY = CollectorRegistry()

DECISIONS = Counter("moderation_decisions", "Decisions stored, by fate.", ["fate"], registry=REGISTRY)
DEAD_LETTERS = Counter("moderation_dead_letters", "Dead letters stored, by reason.", ["reason"], registry=REGISTRY)
MODEL_SWAPS = Counter("moderation_model_swaps", "Times another model version began to serve.", registry=REGISTRY)
MODEL_REFUSALS = Counter(
    "moderation_model_refusals", "Times a version that the alias named was refused.", ["version"], registry=REGISTRY
)
SERVING_MODEL = Gauge("moderation_serving_model", "1 for the version that serves.", ["version"], registry=REGISTRY)


def serve(port: int) -> None:
    """Serve the metrics on a loopback port; 0 serves nothing.

    Raises:
        OSError: the port is taken.
    """
    if port:
        start_http_server(port, "127.0.0.1", REGISTRY)
