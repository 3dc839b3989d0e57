"""Benchmark of a day whose comments are in a real lake: reconciled with scoring, and again without."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import psycopg

from batch.progress import OnProgress
from batch.reconcile.file_tasks import plan_file_tasks
from batch.reconcile.recompute_files import recompute_files
from local.bench.measured_day import DAY, PANES, PARTITIONS, START_US, TABLE_PARTITION, measure
from local.bench.stream.run import Bench
from local.bench.stream.worker import ledger_of
from moderation.adapters.kafka.topic_reader import LogRecord
from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.lake.file_boundaries import FileLimits
from moderation.adapters.lake.files import LakeFile
from moderation.adapters.lake.manifest import add_file
from moderation.adapters.lake.schema import columns_of
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.lake.writer import write_file
from moderation.adapters.reconciliation.snapshot import Cut, Snapshot
from moderation.bootstrap import production_model
from moderation.contracts import Comment, Fate, Verdict, to_json
from moderation.datasets.history import LabelledComment
from moderation.errors import StackError
from moderation.offsets import TopicPartition
from moderation.settings import Settings, required
from moderation.timestamps import day_bounds_us

_TOPIC_ID = UUID("00000000-0000-0000-0000-000000000001")
_COLUMNS = (
    'append_day, topic_id, partition, "offset", append_us, comment_id, community, event_time_us, record_id, score_ppm, '
    "verdict, model_version, policy_version, kernel_version, fate, reasons"
)
# No comment of the day is late or a copy.
_ROWS = f"""
SELECT '{DAY}', topic_id, part, pos, append_us, comment_id, community, event_us, '\\x' || lower(hex(record_id)), score,
       CASE verdict {" ".join(f"WHEN {number} THEN '{verdict}'" for number, verdict in enumerate(Verdict))} END,
       model_version, policy_version, kernel_version, '{Fate.COUNTED}', nullif(reasons, '')
  FROM scored
"""  # noqa: S608 - our own folder


def reconcile_lake_day(
    bench: Bench, texts: Sequence[LabelledComment], count: int, on_progress: OnProgress
) -> tuple[dict[str, Any], float, int]:
    """Reconcile a day of comments of a lake with all rows, by digests, and by digests again.

    Args:
        bench: a stack with a model.
        texts: bodies of the comments.
        count: number of the comments.
        on_progress: receives one line at each step.

    Returns:
        ``rows, full_seconds, scoring_seconds, again_seconds``; comments scored a second by all cores, start of
        processes included; and the peak memory of a process tree, bytes.

    Raises:
        StackError: a reconciliation fails, or finds a difference.
    """
    with (
        ledger_of(bench.layout, bench.info, "bench-lake-", "bench_lake_day") as settings,
        tempfile.TemporaryDirectory(prefix="moderation-bench-", dir=bench.folder) as scratch,
    ):
        folder = Path(scratch)
        settings = settings.model_copy(update={"lake_url": str(folder / "lake"), "state_folder": folder / "state"})
        topic = settings.topic_prefix + COMMENTS.name
        on_progress(f"writing {count:,} comments to a lake")
        files = _write_lake(settings, topic, texts, count // PARTITIONS)
        version = production_model(settings).resolve()
        cuts = {file.topic_partition: Cut(file.next_offset, file.next_offset) for file in files}
        snapshot = Snapshot(topic, *day_bounds_us(DAY), files, cuts, {}, {}, {}, {})
        tasks = plan_file_tasks(snapshot, lambda: version, LakeStore(settings.lake_url))
        on_progress(f"scoring {count:,} comments again")
        begun = time.monotonic()
        scored = recompute_files(tasks, settings, folder / "scored", lambda line: None).rows
        seconds = time.monotonic() - begun
        if scored != count // PARTITIONS * PARTITIONS:
            raise StackError("scoring again", f"{scored:,} of {count:,} comments were scored")
        on_progress(f"{count:,} comments: filling PostgreSQL")
        _fill(required(settings.database_url, "database_url"), topic, files, folder / "scored")
        figures: dict[str, Any] = {"rows": scored}
        peaks = []
        for name, mode in (("full_seconds", "full"), ("scoring_seconds", "digests"), ("again_seconds", "digests")):
            on_progress(f"{count:,} comments of the lake: reconciling, {name.replace('_', ' ')}")
            run = measure(settings, mode)
            found = {**run.report["causes"], **run.report["defects"]}
            if any(found.values()) or run.report["batch_comments"] != scored:
                raise StackError("reconciliation", f"its result is {found}, expected no difference")
            figures[name] = round(run.seconds, 2)
            peaks.append(run.peak_rss_bytes)
    return figures, scored / seconds, max(peaks)


def _write_lake(settings: Settings, topic: str, texts: Sequence[LabelledComment], each: int) -> list[LakeFile]:
    store = LakeStore(settings.lake_url)
    files = []
    for partition in range(PARTITIONS):
        source = TopicPartition(topic, _TOPIC_ID, partition)
        records = _records(texts, partition, each)
        file = write_file(store, f"{partition}.parquet", source, columns_of(COMMENTS.name), DAY, records, FileLimits())
        store.publish(f"{partition}.parquet", file.path)
        files.append(file)
    return files


def _records(texts: Sequence[LabelledComment], partition: int, count: int) -> Iterator[LogRecord]:
    for offset in range(count):
        number = offset * PARTITIONS + partition
        time_us = START_US + number * (86_400_000_000 // (count * PARTITIONS))
        # The number makes each text different.
        body = f"{texts[number % len(texts)].comment.body} {number}"
        comment = Comment(f"c{number}", f"community{number % 50}", body, time_us)
        yield LogRecord(offset, time_us, comment.comment_id.encode(), to_json(comment), [])


def _fill(url: str, topic: str, files: Sequence[LakeFile], scored: Path) -> None:
    """Store decisions, panes, positions and manifest as worker and archive would."""
    rows = scored.with_name("rows.csv")
    with duckdb.connect() as duck:
        duck.read_parquet(f"{scored}/[0-9]*.parquet").create_view("scored")
        duck.execute(f"COPY ({_ROWS}) TO '{rows}' (FORMAT csv, HEADER false)")
        versions = duck.sql("SELECT DISTINCT model_version, policy_version, kernel_version FROM scored").fetchall()[0]
    with psycopg.connect(url) as connection:
        connection.execute(TABLE_PARTITION)
        with (
            rows.open("rb") as lines,
            connection.cursor() as cursor,
            cursor.copy(f"COPY speed.decisions ({_COLUMNS}) FROM STDIN (FORMAT csv)") as copy,
        ):
            while part := lines.read(1 << 20):
                copy.write(part)
        connection.execute(PANES)
        for file in files:
            source = file.topic_partition
            add_file(connection, file, 0)
            connection.execute(
                "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
                "VALUES (%s, %s, %s, 0, %s, 0)",
                (source.topic_id, source.partition, topic, file.next_offset),
            )
            connection.execute(
                "INSERT INTO speed.served (topic_id, partition, from_offset, model_version, policy_version, "
                "kernel_version, rules_version, earliest_event_us) VALUES (%s, %s, 0, %s, %s, %s, %s, %s)",
                (source.topic_id, source.partition, *versions, file.rules.version, file.rules.earliest_event_us),
            )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE speed.decisions")
