"""Benchmark of reconciling days with millions of rows, with the export from PostgreSQL; scoring is timed separately."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import psutil
import psycopg

from batch.progress import OnProgress
from batch.reconcile.file_tasks import plan_file_tasks
from batch.reconcile.recompute_files import recompute_files
from local.bench.stream.run import Bench
from local.bench.stream.worker import ledger_of
from local.stack.environment import inherited_environment
from local.stack.worker import settings_environment, stack_settings
from moderation.adapters.kafka.topic_reader import LogRecord
from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.lake.file_boundaries import FileLimits
from moderation.adapters.lake.schema import columns_of
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.writer import write_file
from moderation.adapters.reconciliation.snapshot import Cut, Snapshot
from moderation.bootstrap import production_model
from moderation.contracts import Comment, to_json
from moderation.datasets.history import LabelledComment
from moderation.errors import StackError
from moderation.offsets import TopicPartition
from moderation.settings import Settings, required
from moderation.timestamps import day_bounds_us

DAY = date(2026, 1, 15)
PARTITIONS = 4
COMMUNITIES = 50
_TOPIC_ID = UUID("00000000-0000-0000-0000-000000000001")
_LATE_EVERY, _COPY_EVERY = 100, 200
_SAMPLE_SECONDS = 0.05
_START_US, _ = day_bounds_us(DAY)

# The rows of a day as a function of their number, the same for PostgreSQL and DuckDB. One row in a hundred is late, and
# one in two hundred is a copy of a row of another partition.
_ROWS = f"""
SELECT i % {PARTITIONS} AS part, i // {PARTITIONS} AS pos, {_START_US} + o * (86400000000 // {{rows}}) AS event_us,
       'community' || CAST((o * 31) % {COMMUNITIES} AS VARCHAR) AS community, 'c' || CAST(o AS VARCHAR) AS comment_id,
       o, CAST((o * 7919) % 1000001 AS INTEGER) AS score, i % {_LATE_EVERY} = 7 AS is_late
  FROM (SELECT i, CASE WHEN i % {_COPY_EVERY} = 13 THEN i - 1 ELSE i END AS o FROM ({{numbers}}) n) numbered
"""  # noqa: S608 - our own numbers
_NUMBERS = "SELECT range AS i FROM range({rows})"
_VERDICTS = "CASE WHEN score >= 900000 THEN {remove} WHEN score >= 700000 THEN {review} ELSE {allow} END"
_RECOMPUTED = f"""
SELECT '{_TOPIC_ID}' AS topic_id, CAST(part AS INTEGER) AS part, pos, event_us, community, comment_id,
       (hash(o) >> 1)::BIGINT AS record_hash, unhex(sha256(o::VARCHAR)) AS record_id, score,
       CAST({_VERDICTS.format(remove=2, review=1, allow=0)} AS INTEGER) AS verdict, is_late, FALSE AS is_replay,
       '1' AS model_version, 'policy' AS policy_version, '1' AS kernel_version, FALSE AS is_quarantined
  FROM ({{source}})
"""  # noqa: S608 - our own numbers
_LEDGER = f"""
INSERT INTO speed.decisions (append_day, topic_id, partition, "offset", append_us, comment_id, community, event_time_us,
                             record_id, score_ppm, verdict, model_version, policy_version, kernel_version, fate)
SELECT '{DAY}', '{_TOPIC_ID}', part, pos, event_us, comment_id, community, event_us, sha256(o::text::bytea), score,
       {_VERDICTS.format(remove="'remove'", review="'review'", allow="'allow'")}, '1', 'policy', '1',
       CASE WHEN is_late THEN 'late' ELSE 'counted' END
  FROM ({{source}}) source
"""  # noqa: S608 - our own numbers
_PANES = """
INSERT INTO speed.panes
SELECT topic_id, partition, community, event_time_us - event_time_us % 300000000, model_version, policy_version,
       count(*) FILTER (WHERE fate = 'counted'), count(*) FILTER (WHERE fate = 'counted' AND verdict = 'review'),
       count(*) FILTER (WHERE fate = 'counted' AND verdict = 'remove'),
       coalesce(sum(score_ppm) FILTER (WHERE fate = 'counted'), 0), count(*) FILTER (WHERE fate = 'late'), min("offset")
  FROM speed.decisions GROUP BY 1, 2, 3, 4, 5, 6
"""


def bench_batch(
    bench: Bench, rows: Sequence[int], texts: Sequence[LabelledComment], scored: int, on_progress: OnProgress
) -> dict[str, Any]:
    """Reconcile days of these sizes, then rescore comments of the lake.

    Args:
        bench: a stack with a model.
        rows: number of rows of each day, in ledger and lake.
        texts: bodies for the comments that are scored.
        scored: number of these comments.
        on_progress: receives one line at each step.

    Returns:
        ``rows, reconcile_seconds`` and ``step_seconds`` (by size), ``peak_rss_bytes`` (the most of a process tree),
        ``growth`` (largest size against the smallest: time by rows), ``rescore_per_s``, ``settings``.

    Raises:
        StackError: a reconciliation fails, or its result is not the expected one.
    """
    seconds, steps, peaks = [], [], []
    for count in rows:
        taken, report, peak = _reconcile(bench, count, on_progress)
        seconds.append(round(taken, 2))
        steps.append(report["seconds"])
        peaks.append(peak)
    return {
        "rows": list(rows),
        "reconcile_seconds": seconds,
        "step_seconds": steps,
        "growth": round((seconds[-1] / seconds[0]) / (rows[-1] / rows[0]), 3),
        "peak_rss_bytes": max(peaks),
        "rescore_per_s": round(_rescore(bench, texts, scored, on_progress)),
        "settings": {
            "partitions": PARTITIONS,
            "communities": COMMUNITIES,
            "late_share": 1 / _LATE_EVERY,
            "copies_share": 1 / _COPY_EVERY,
            "rescored": scored,
            "engine": "duckdb",
        },
    }


def _reconcile(bench: Bench, count: int, on_progress: OnProgress) -> tuple[float, dict[str, Any], int]:
    with (
        ledger_of(bench.layout, bench.info, "bench-batch-", f"bench_batch_{count}") as settings,
        tempfile.TemporaryDirectory(prefix="moderation-bench-", dir=bench.folder) as scratch,
    ):
        folder = Path(scratch)
        on_progress(f"{count:,} rows: filling PostgreSQL and the lake's side")
        _fill(required(settings.database_url, "database_url"), settings.topic_prefix + COMMENTS.name, count)
        with duckdb.connect() as duck:
            source = _ROWS.format(rows=count, numbers=_NUMBERS.format(rows=count))
            query = _RECOMPUTED.format(topic_partition=source)
            (folder / "scored").mkdir()
            duck.sql(query).write_parquet(str(folder / "scored" / "0.parquet"), compression="zstd")
        on_progress(f"{count:,} rows: reconciling")
        settings = settings.model_copy(update={"lake_url": str(folder / "lake"), "state_folder": folder / "state"})
        begun = time.monotonic()
        with _process(settings, folder / "scored") as (process, most):
            output, _ = process.communicate()
        taken = time.monotonic() - begun
    if process.returncode:
        raise StackError("reconciliation", f"its process ended with exit code {process.returncode}")
    report = json.loads(output)
    causes = {cause: number for cause, number in report["causes"].items() if number}
    expected = {"late": count // _LATE_EVERY, "duplicate": count // _COPY_EVERY}
    if causes != expected or any(report["defects"].values()):
        raise StackError("reconciliation", f"its result is {causes} and {report['defects']}, not {expected}")
    return taken, report, most[0]


def _fill(url: str, topic: str, count: int) -> None:
    source = _ROWS.replace("//", "/").format(rows=count, numbers=f"SELECT generate_series(0, {count - 1}::bigint) AS i")
    with psycopg.connect(url) as connection:
        connection.execute(
            f"CREATE TABLE speed.decisions_bench PARTITION OF speed.decisions FOR VALUES FROM ('{DAY}') "
            f"TO ('{DAY}'::date + 1)"
        )
        connection.execute(_LEDGER.format(topic_partition=source))
        connection.execute(_PANES)
        for partition in range(PARTITIONS):
            connection.execute(
                "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
                "VALUES (%s, %s, %s, 0, %s, 0)",
                (_TOPIC_ID, partition, topic, count // PARTITIONS),
            )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE speed.decisions")


@contextmanager
def _process(settings: Settings, scored: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """Run a reconciliation in a process; yield it with the peak memory of it and its children."""
    most = [0]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "local.bench.measured_reconcile", DAY.isoformat(), str(scored)],
        env={**inherited_environment(), **settings_environment(settings)},
        stdout=subprocess.PIPE,
    )

    def watch() -> None:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                tree = [root, *root.children(recursive=True)]
                most[0] = max(most[0], sum(each.memory_info().rss for each in tree))
            except psutil.NoSuchProcess:
                continue
            time.sleep(_SAMPLE_SECONDS)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield process, most
    finally:
        process.kill()
        process.wait(30)
        watcher.join(10)


def _rescore(bench: Bench, texts: Sequence[LabelledComment], count: int, on_progress: OnProgress) -> float:
    """Return how many comments of the lake are rescored a second by all cores, start of processes included."""
    settings = stack_settings(bench.layout, bench.info)
    on_progress(f"scoring {count:,} comments again")
    with tempfile.TemporaryDirectory(prefix="moderation-bench-", dir=bench.folder) as scratch:
        folder = Path(scratch)
        store = LakeStore(str(folder / "lake"))
        files = []
        each = count // PARTITIONS
        for partition in range(PARTITIONS):
            source = TopicPartition(COMMENTS.name, _TOPIC_ID, partition)
            file = write_file(
                store,
                f"{partition}.parquet",
                source,
                columns_of(COMMENTS.name),
                DAY,
                _records(texts, partition, each),
                FileLimits(),
            )
            store.publish(f"{partition}.parquet", file.path)
            files.append(file)
        cuts = {file.topic_partition: Cut(file.next_offset, file.next_offset) for file in files}
        snapshot = Snapshot(COMMENTS.name, *day_bounds_us(DAY), files, cuts, {}, {}, {}, {})
        settings = settings.model_copy(update={"lake_url": str(folder / "lake")})
        tasks = plan_file_tasks(snapshot, production_model(settings).resolve, LakeStore(settings.lake_url))
        begun = time.monotonic()
        scored_rows = recompute_files(tasks, settings, folder / "scored", lambda line: None).rows
        taken = time.monotonic() - begun
    if scored_rows != each * PARTITIONS:
        raise StackError("scoring again", f"{scored_rows:,} of {each * PARTITIONS:,} comments were scored")
    return scored_rows / taken


def _records(texts: Sequence[LabelledComment], partition: int, count: int) -> Iterator[LogRecord]:
    for offset in range(count):
        number = offset * PARTITIONS + partition
        time_us = _START_US + number * 1_000
        # The number makes each text different.
        body = f"{texts[number % len(texts)].comment.body} {number}"
        comment = Comment(f"c{number}", "science", body, time_us)
        yield LogRecord(offset, time_us, comment.comment_id.encode(), to_json(comment), [])
