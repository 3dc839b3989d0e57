"""Benchmark of stored bytes per comment: in the ledger, in the write-ahead log, and on each topic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from batch.progress import OnProgress
from local.bench.stream import worker
from local.bench.stream.corpus import Corpus, preload
from local.bench.stream.run import Bench
from local.bench.stream.throughput import TopicEnds, running
from local.stack.wait import wait_until
from moderation.adapters.kafka.topics import ALERTS, COMMENTS, DECISIONS, TOPICS, ensure_topics
from moderation.datasets.history import LabelledComment
from moderation.errors import StackError
from moderation.settings import required

PREFIX = "footprint-"
_SECONDS = 600.0
_WEIGHED = (COMMENTS, DECISIONS, ALERTS)


def footprint(bench: Bench, rows: Sequence[LabelledComment], comments: int, on_progress: OnProgress) -> dict[str, Any]:
    """Decide comments and measure the bytes that they occupy.

    Args:
        bench: a stack with a model.
        rows: comments from which the texts are made.
        comments: number of comments.
        on_progress: receives one line at each step.

    Returns:
        ``comments``, ``bytes_per_comment`` (``ledger``: table and indexes of decisions; ``wal``: write-ahead log of all
        transactions of the database meanwhile; ``topics``: by name, as the broker stores them, one copy),
        ``settings``.

    Raises:
        StackError: the worker ends by itself, or takes too long.
    """
    corpus, ends = Corpus([row.comment.body for row in rows]), TopicEnds(bench.kafka)
    ensure_topics(bench.kafka, TOPICS, prefix=PREFIX)
    preload(bench.kafka, PREFIX + COMMENTS.name, corpus, comments, on_progress)
    with worker.ledger_of(bench.layout, bench.info, PREFIX, "footprint") as settings:
        url = required(settings.database_url, "database_url")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            before = _number(connection, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
            with running([worker.COMMAND], worker.environment(settings), bench.folder / "footprint") as processes:

                def all_decided() -> bool:
                    processes[0].check()
                    decided = ends.total(PREFIX + DECISIONS.name)
                    on_progress(f"{decided:,} of {comments:,} comments decided")
                    return decided >= comments

                wait_until(all_decided, seconds=_SECONDS, description=f"{comments:,} decisions")
            after = _number(connection, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
            ledger = _number(
                connection,
                "SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('speed.decisions')",
            )
            stored = _number(connection, "SELECT count(*) FROM speed.decisions")
    ends.close()
    if stored != comments:
        raise StackError("the ledger", f"it contains {stored:,} of {comments:,} decisions", "See the worker's log.")
    return {
        "comments": comments,
        "bytes_per_comment": {
            "ledger": round(ledger / comments, 1),
            "wal": round((after - before) / comments, 1),
            "topics": {topic.name: round(_log_bytes(bench, topic.name) / comments, 1) for topic in _WEIGHED},
        },
        "settings": {**corpus.describe(), "partitions": COMMENTS.partitions, "compression.type": "lz4"},
    }


def _number(connection: psycopg.Connection[tuple[int]], query: LiteralString) -> int:
    ((number,),) = connection.execute(query)
    return number


def _log_bytes(bench: Bench, topic: str) -> int:
    """Return the bytes of a topic's segments, without indexes, whose space is reserved in advance."""
    segments: list[Path] = list(bench.layout.kafka.rglob(f"{PREFIX}{topic}-[0-9]*/*.log"))
    return sum(path.stat().st_size for path in segments)
