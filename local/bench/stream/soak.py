"""Soak test: send millions of comments through one worker; measure resident memory and rate over time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batch.progress import OnProgress
from local.bench.stream import worker
from local.bench.stream.corpus import Corpus, Sender
from local.bench.stream.run import Bench
from local.bench.stream.throughput import TopicEnds, running
from moderation.adapters.kafka.connection import KafkaConnection
from moderation.adapters.kafka.topics import TOPICS, ensure_topics
from moderation.datasets.history import LabelledComment
from moderation.errors import StackError
from moderation.timestamps import now_us

PREFIX = "soak-"
_SAMPLE_SECONDS = 2.0
_AHEAD = 150_000
APART_US = 2_000
"""Time between the event times of two comments. A worker remembers the record ids of open panes, about a quarter of an
hour. At this distance it reaches the steady number of ids before the first million."""
_FLAT_FROM = 1_000_000
_SILENCE_SECONDS = 120.0


def soak(
    bench: Bench, rows: Sequence[LabelledComment], comments: int, plot: Path | None, on_progress: OnProgress
) -> dict[str, Any]:
    """Send comments and measure the worker.

    Args:
        bench: a stack with a model.
        rows: comments from which the texts are made.
        comments: number of comments.
        plot: file of the plot; None for none.
        on_progress: receives one line at each step.

    Returns:
        ``records``, ``seconds``, ``per_s``, resident memory in bytes when the first million was done, at most after
        it, at the end, the growth per million after it, and the samples: records, bytes.

    Raises:
        StackError: nothing is decided for two minutes.
    """
    corpus = Corpus([row.comment.body for row in rows])
    ensure_topics(bench.kafka, TOPICS, prefix=PREFIX)
    ends, samples = TopicEnds(bench.kafka), []
    texts = bench.folder / "texts.json"
    texts.write_text(json.dumps(corpus.texts))
    options = {"bootstrap": bench.kafka.bootstrap, "prefix": PREFIX, "count": comments, "texts": str(texts)}
    feeding = [sys.executable, "-P", "-m", "local.bench.stream.soak", json.dumps(options)]
    with (
        worker.ledger_of(bench.layout, bench.info, PREFIX, "soak") as settings,
        running([feeding], {}, bench.folder / "soak-feeder"),
        running([worker.COMMAND], worker.environment(settings), bench.folder / "soak") as processes,
    ):
        began = moved = time.monotonic()
        done = 0
        while done < comments:
            time.sleep(_SAMPLE_SECONDS)
            before, done = done, ends.total(PREFIX + "decisions")
            if done > before:
                moved = time.monotonic()
            elif time.monotonic() - moved > _SILENCE_SECONDS:
                raise StackError("the worker", f"it decided nothing for {_SILENCE_SECONDS:.0f} s", "See its log.")
            samples.append((done, processes[0].measured.memory_info().rss))
            on_progress(f"{done:,} of {comments:,} comments, {samples[-1][1] / 1e6:,.0f} MB")
        seconds = time.monotonic() - began
    ends.close()
    if plot is not None:
        _draw(plot, samples)
    after = [(count, size) for count, size in samples if count >= min(_FLAT_FROM, comments // 2)]
    return {
        "records": done,
        "seconds": round(seconds, 1),
        "per_s": round(done / seconds),
        "rss_bytes_after_first_million": after[0][1],
        "rss_bytes_most_after": max(size for _, size in after),
        "rss_bytes_at_end": after[-1][1],
        "rss_growth_per_million": round(_slope(after) * 1e6),
        "samples": samples[:: max(1, len(samples) // 100)],
        "settings": corpus.describe(),
    }


def feed(kafka: KafkaConnection, prefix: str, count: int, corpus: Corpus) -> None:
    """Send comments, never far ahead of the decisions, so that the topic stays in the disk's cache."""
    sender, ends = Sender(kafka, prefix + "comments"), TopicEnds(kafka)
    began_us = now_us() - count * APART_US
    for number in range(count):
        if number % 10_000 == 0:
            while number - ends.total(prefix + "decisions") > _AHEAD:
                sender.poll(0.1)
        sender.send(corpus.comment(number, began_us + number * APART_US))
    sender.close()


def _slope(samples: Sequence[tuple[int, int]]) -> float:
    """Bytes per record, by least squares."""
    import numpy as np

    counts, sizes = zip(*samples, strict=True)
    return float(np.polyfit(counts, sizes, 1)[0]) if len(samples) > 1 else 0.0


def _draw(path: Path, samples: Sequence[tuple[int, int]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot([count / 1e6 for count, _ in samples], [size / 1e6 for _, size in samples])
    axes.set(xlabel="million comments decided", ylabel="resident memory, MB", ylim=(0, None))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": ""})


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    corpus = Corpus(json.loads(Path(given["texts"]).read_text()))
    feed(KafkaConnection.plaintext(given["bootstrap"]), given["prefix"], given["count"], corpus)
