"""Open-loop latency: comments are sent when their time has come, whether the worker keeps up or not.

The event time of a comment is the moment it was to be sent. A decision's timestamp is set after its commit, so decision
time less event time is the time from the scheduled sending to the commit, and a little more. Run as a program to send.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from local.bench.stream.corpus import Corpus, Sender
from local.oracle import read_messages
from moderation.timestamps import now_us


def send(bootstrap: str, topic: str, per_s: float, seconds: float, first: int, corpus: Corpus) -> int:
    """Send at a rate; what falls behind is sent at once, with the time it should have had.

    Returns:
        How many were sent.
    """
    sender = Sender(bootstrap, topic, linger_ms=5)
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


def latencies_ms(bootstrap: str, topic: str, since_us: int, skip_seconds: float) -> list[float]:
    """Milliseconds from scheduled sending to decision.

    Args:
        bootstrap: addresses of brokers.
        topic: of decisions.
        since_us: decisions on earlier comments are left out …
        skip_seconds: … and those of so many seconds after that.
    """
    first_us = since_us + round(skip_seconds * 1e6)
    found = []
    for _, value, time_ms in read_messages(bootstrap, topic):
        event_time_us = json.loads(value)["event_time_us"]
        if event_time_us >= first_us:
            found.append(time_ms - event_time_us / 1_000)
    return found


def percentiles(values: list[float]) -> dict[str, float]:
    """p50 and p99."""
    return {f"p{rank}_ms": round(float(np.percentile(values, rank)), 1) for rank in (50, 99)}


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    texts = json.loads(Path(options.pop("texts")).read_text())
    send(corpus=Corpus(texts), **options)
