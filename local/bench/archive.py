"""Benchmark of archiving a topic of comments: time, memory and bytes, with the archive in a process of its own."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from batch.progress import OnProgress
from local.stack import commands as stack
from local.stack.environment import inherited_environment
from local.stack.layout import StackLayout
from local.stack.worker import settings_environment, stack_settings
from moderation.adapters.kafka.connection import kafka_of
from moderation.adapters.kafka.topics import COMMENTS, ensure_topics, producer_settings
from moderation.adapters.sql.migrate import migrate_database
from moderation.contracts import Comment, to_json
from moderation.datasets.synthetic import TrafficConfig, labelled_history
from moderation.errors import StackError
from moderation.settings import Settings

_POOL = 20_000
_EVENT_US = 1_700_000_000_000_000
_DELIVERY_SECONDS = 120
_FULL_SECONDS = 0.1


def bench_archive(layout: StackLayout, rows: int, mean_characters: int, on_progress: OnProgress) -> dict[str, Any]:
    """Start a stack, fill topic ``comments``, and archive it in a process of its own. The stack stays up.

    Args:
        layout: with an empty data folder, see :func:`local.stack.commands.empty`.
        rows: number of comments.
        mean_characters: approximate mean length of their bodies.
        on_progress: receives one line at each step.

    Returns:
        ``rows, seconds`` (of the archive itself), ``process_seconds`` (of its whole process), ``peak_rss_bytes`` of
        that process, ``bytes`` in the lake, ``value_bytes`` on the topic, ``files``, ``settings``.

    Raises:
        StackError: the stack does not start, or not every comment was archived.
    """
    on_progress("bringing the stack up")
    info = stack.up(layout)
    migrate_database(info.database_url())
    with tempfile.TemporaryDirectory(prefix="moderation-lake-") as lake:
        settings = stack_settings(layout, info).model_copy(update={"lake_url": lake})
        ensure_topics(info.kafka)
        bodies = _bodies(mean_characters)
        value_bytes = _fill(settings, rows, bodies, on_progress)
        on_progress(f"archiving {rows:,} comments")
        report, process_seconds = _archive(settings)
    if report["rows"] != rows:
        raise StackError("archive", f"{report['rows']:,} of {rows:,} comments were archived")
    return {
        "rows": rows,
        "seconds": report["seconds"],
        "process_seconds": round(process_seconds, 2),
        "rows_per_s": round(rows / report["seconds"]),
        "peak_rss_bytes": report["peak_rss_bytes"],
        "bytes": report["bytes"],
        "value_bytes": value_bytes,
        "files": report["files"],
        "settings": {
            "mean_characters": round(sum(map(len, bodies)) / len(bodies), 1),
            "partitions": COMMENTS.partitions,
            "distinct_bodies": len(bodies),
        },
    }


def _bodies(mean_characters: int) -> list[str]:
    """Return generated bodies, joined so that their mean length is about the requested one."""
    texts = itertools.cycle([row.comment.body for row in labelled_history(TrafficConfig(days=1))])
    bodies: list[str] = []
    total = 0
    while len(bodies) < _POOL:
        body = next(texts)
        while total + len(body) < (len(bodies) + 0.5) * mean_characters:
            body += "\n" + next(texts)
        bodies.append(body)
        total += len(body)
    return bodies


def _fill(settings: Settings, rows: int, bodies: list[str], on_progress: OnProgress) -> int:
    """Send comments; returns the total size of their values in bytes."""
    producer = Producer(producer_settings(kafka_of(settings), _DELIVERY_SECONDS) | {"log_level": 3})
    refused: list[KafkaError] = []

    def note(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            refused.append(error)

    value_bytes = 0
    for number in range(rows):
        comment = Comment(f"c{number}", "science", bodies[number % len(bodies)], _EVENT_US + number * 1_000)
        value = to_json(comment)
        value_bytes += len(value)
        while True:
            try:
                producer.produce(COMMENTS.name, value, key=comment.comment_id, on_delivery=note)
                break
            except BufferError:
                producer.poll(_FULL_SECONDS)
        producer.poll(0)
        if number % 100_000 == 0:
            on_progress(f"sending comments: {number:,} of {rows:,}")
    if producer.flush(_DELIVERY_SECONDS) or refused:
        raise StackError("Kafka", "not every comment was acknowledged")
    return value_bytes


def _archive(settings: Settings) -> tuple[dict[str, Any], float]:
    """Archive in a process; return its report with peak memory, and its wall time in seconds."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "local.bench.measured_archive"],
        env={**inherited_environment(), **settings_environment(settings)},
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise StackError("archive", f"its process ended with exit code {done.returncode}")
    return json.loads(done.stdout), time.monotonic() - begun
