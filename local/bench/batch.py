"""Benchmark of reconciling days with millions of rows: by digests and by all rows, with scoring and without.

Days of stated sizes have made-up scores, and the digests that are computed with the scores, so that no scoring is
measured. Another day has comments in a real lake: it is reconciled with scoring, then again without.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import psycopg

from batch.progress import OnProgress
from local.bench.lake_day import reconcile_lake_day
from local.bench.measured_day import DAY, PANES, PARTITIONS, START_US, TABLE_PARTITION, MeasuredRun, measure
from local.bench.stream.run import Bench
from local.bench.stream.worker import ledger_of
from moderation.adapters.kafka.topics import COMMENTS
from moderation.adapters.reconciliation.row_digests import with_digests
from moderation.datasets.history import LabelledComment
from moderation.errors import StackError
from moderation.settings import required

COMMUNITIES = 50
_TOPIC_ID = UUID("00000000-0000-0000-0000-000000000001")
_LATE_EVERY, _COPY_EVERY = 100, 200
_MODES = ("full", "digests")

# The rows of a day as a function of their number, the same for PostgreSQL and DuckDB. One row in a hundred is late, and
# one in two hundred is a copy of a row of another partition.
_ROWS = f"""
SELECT i % {PARTITIONS} AS part, i // {PARTITIONS} AS pos, {START_US} + o * (86400000000 // {{rows}}) AS event_us,
       'community' || CAST((o * 31) % {COMMUNITIES} AS VARCHAR) AS community, 'c' || CAST(o AS VARCHAR) AS comment_id,
       o, CAST((o * 7919) % 1000001 AS INTEGER) AS score, i % {_LATE_EVERY} = 7 AS is_late
  FROM (SELECT i, CASE WHEN i % {_COPY_EVERY} = 13 THEN i - 1 ELSE i END AS o FROM ({{numbers}}) n) numbered
"""  # noqa: S608 - our own numbers
_NUMBERS = "SELECT range AS i FROM range({rows})"
_VERDICTS = "CASE WHEN score >= 900000 THEN {remove} WHEN score >= 700000 THEN {review} ELSE {allow} END"
_RECOMPUTED = f"""
SELECT '{_TOPIC_ID}' AS topic_id, CAST(part AS INTEGER) AS part, pos, event_us, community, comment_id,
       event_us AS append_us, (hash(o) >> 1)::BIGINT AS record_hash, unhex(sha256(o::VARCHAR)) AS record_id, score,
       CAST({_VERDICTS.format(remove=2, review=1, allow=0)} AS INTEGER) AS verdict, '' AS reasons, is_late,
       FALSE AS is_replay, '1' AS model_version, 'policy' AS policy_version, '1' AS kernel_version,
       FALSE AS is_quarantined, '' AS repairs, FALSE AS letter_holds, FALSE AS is_other_model
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


def bench_batch(
    bench: Bench, rows: Sequence[int], texts: Sequence[LabelledComment], scored: int, on_progress: OnProgress
) -> dict[str, Any]:
    """Reconcile days of these sizes, then a day whose comments are in a real lake.

    Args:
        bench: a stack with a model.
        rows: number of rows of each day, in ledger and lake.
        texts: bodies for the comments that are scored.
        scored: number of the comments of that day.
        on_progress: receives one line at each step.

    Returns:
        ``rows``; by size ``reconcile_seconds`` and ``step_seconds`` of the comparison of all rows, ``digest_seconds``
        and ``digest_step_seconds`` of that by digests, all without scoring; ``growth`` (largest size against the
        smallest: time by rows); ``lake_day``: ``rows``, and the seconds with scoring (``full_seconds`` of all rows,
        ``scoring_seconds`` by digests) and without (``again_seconds``, by digests); ``peak_rss_bytes`` (the most of a
        process tree), ``rescore_per_s``, ``settings``.

    Raises:
        StackError: a reconciliation fails, or its result is not the expected one.
    """
    seconds: dict[str, list[float]] = {mode: [] for mode in _MODES}
    steps: dict[str, list[dict[str, float]]] = {mode: [] for mode in _MODES}
    peaks = []
    for count in rows:
        for mode, run in _reconcile(bench, count, on_progress).items():
            seconds[mode].append(round(run.seconds, 2))
            steps[mode].append(run.report["seconds"])
            peaks.append(run.peak_rss_bytes)
    lake_day, rescore_per_s, peak = reconcile_lake_day(bench, texts, scored, on_progress)
    peaks.append(peak)
    return {
        "rows": list(rows),
        "reconcile_seconds": seconds["full"],
        "step_seconds": steps["full"],
        "digest_seconds": seconds["digests"],
        "digest_step_seconds": steps["digests"],
        "lake_day": lake_day,
        "growth": round((seconds["full"][-1] / seconds["full"][0]) / (rows[-1] / rows[0]), 3),
        "peak_rss_bytes": max(peaks),
        "rescore_per_s": round(rescore_per_s),
        "settings": {
            "partitions": PARTITIONS,
            "communities": COMMUNITIES,
            "late_share": 1 / _LATE_EVERY,
            "copies_share": 1 / _COPY_EVERY,
            "rescored": scored,
            "engine": "duckdb",
        },
    }


def _reconcile(bench: Bench, count: int, on_progress: OnProgress) -> dict[str, MeasuredRun]:
    with (
        ledger_of(bench.layout, bench.info, "bench-batch-", f"bench_batch_{count}") as settings,
        tempfile.TemporaryDirectory(prefix="moderation-bench-", dir=bench.folder) as scratch,
    ):
        folder = Path(scratch)
        on_progress(f"{count:,} rows: filling PostgreSQL and the lake's side")
        _fill(required(settings.database_url, "database_url"), settings.topic_prefix + COMMENTS.name, count)
        with duckdb.connect() as duck:
            source = _ROWS.format(rows=count, numbers=_NUMBERS.format(rows=count))
            query = with_digests(_RECOMPUTED.format(source=source))
            (folder / "scored").mkdir()
            duck.sql(query).write_parquet(str(folder / "scored" / "0.parquet"), compression="zstd")
        settings = settings.model_copy(update={"lake_url": str(folder / "lake"), "state_folder": folder / "state"})
        runs = {}
        for mode in _MODES:
            on_progress(f"{count:,} rows: reconciling, {mode}")
            runs[mode] = measure(settings, mode, folder / "scored")
    for run in runs.values():
        causes = {cause: number for cause, number in run.report["causes"].items() if number}
        expected = {"late": count // _LATE_EVERY, "duplicate": count // _COPY_EVERY}
        if causes != expected or any(run.report["defects"].values()):
            raise StackError("reconciliation", f"its result is {causes} and {run.report['defects']}, not {expected}")
    if runs["digests"].report["digests"]["exported"]:
        raise StackError("comparison by digests", "rows left PostgreSQL although both sides are equal")
    return runs


def _fill(url: str, topic: str, count: int) -> None:
    source = _ROWS.replace("//", "/").format(rows=count, numbers=f"SELECT generate_series(0, {count - 1}::bigint) AS i")
    with psycopg.connect(url) as connection:
        connection.execute(TABLE_PARTITION)
        connection.execute(_LEDGER.format(source=source))
        connection.execute(PANES)
        for partition in range(PARTITIONS):
            connection.execute(
                "INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next) "
                "VALUES (%s, %s, %s, 0, %s, 0)",
                (_TOPIC_ID, partition, topic, count // PARTITIONS),
            )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE speed.decisions")
