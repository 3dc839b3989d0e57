"""Open-loop latency: comments are sent on schedule, whether the worker keeps up or not.

The event time of a comment is its scheduled time of sending. A decision's timestamp is set after its commit. So
decision time minus event time is the time from scheduled sending to commit, and a little more. As a program it sends.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from local.bench.stream.corpus import Corpus, Sender
from local.oracle import read_messages
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.timestamps import now_us


def send(kafka: KafkaConnection, topic: str, per_s: float, seconds: float, first: int, corpus: Corpus) -> int:
    """Send at a rate; delayed comments are sent at once, with their scheduled time.

    Returns:
        The number of sent comments.
    """
    sender = Sender(kafka, topic, linger_ms=5)
    began = time.monotonic()
    began_us = now_us()
    count = round(per_s * seconds)
    sent = 0
    while sent < count:
        due = min(count, int((time.monotonic() - began) * per_s) + 1)
        while sent < due:
            sender.send(corpus.comment(first + sent, began_us + round(sent * 1e6 / per_s)))
            sent += 1
        sender.poll(0.001)
    sender.close()
    return sent


def latencies_ms(kafka: KafkaConnection, topic: str, since_us: int, skip_seconds: float) -> list[float]:
    """Return the milliseconds from scheduled sending to decision.

    Args:
        kafka: the connection.
        topic: of decisions.
        since_us: decisions on earlier comments are left out …
        skip_seconds: … and those of this time after it.
    """
    first_us = since_us + round(skip_seconds * 1e6)
    latencies = []
    for _, value, time_ms in read_messages(kafka, topic):
        event_time_us = json.loads(value)["event_time_us"]
        if event_time_us >= first_us:
            latencies.append(time_ms - event_time_us / 1_000)
    return latencies


def percentiles(values: list[float]) -> dict[str, float]:
    """p50 and p99."""
    return {f"p{rank}_ms": round(float(np.percentile(values, rank)), 1) for rank in (50, 99)}


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    texts = json.loads(Path(options.pop("texts")).read_text())
    send(KafkaConnection.plaintext(options.pop("bootstrap")), corpus=Corpus(texts), **options)
