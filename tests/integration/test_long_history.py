"""The work of a night does not grow with the number of days: counted in days, files and rows, not in seconds."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from batch.reconcile.file_tasks import plan_file_tasks
from batch.reconcile.run import days_to_reconcile
from moderation.adapters.lake.store import LakeStore
from moderation.adapters.reconciliation import runs
from moderation.adapters.reconciliation.snapshot import take_snapshot
from moderation.timestamps import day_bounds_us
from tests.support.lakes import LakeUnderTest

NEWEST = date(2024, 11, 23)
PARTITIONS, RECORDS, PANES = 4, 10, 40
"""Partitions; records of a day and partition, which are one file; panes of a day and partition."""
_HISTORY = """
CREATE TEMPORARY TABLE days AS
SELECT d AS number, %(newest)s::date - (%(days)s - 1 - d) AS day, p AS partition,
       ((%(newest)s::date - (%(days)s - 1 - d)) - DATE '1970-01-01')::bigint * 86400000000 AS start_us
  FROM generate_series(0, %(days)s - 1) d, generate_series(0, %(partitions)s - 1) p;
"""
_FILLED = (
    """
INSERT INTO speed.source_offsets (topic_id, partition, topic, first, next, published_next, read_to_end_us)
SELECT %(id)s, p, %(topic)s, 0, %(days)s * %(records)s, %(days)s * %(records)s, 2000000000000000
  FROM generate_series(0, %(partitions)s - 1) p
""",
    """
INSERT INTO speed.served (topic_id, partition, from_offset, model_version, policy_version, kernel_version,
                          rules_version, earliest_event_us)
SELECT %(id)s, p, 0, '1', 'p', '1', 1, 0 FROM generate_series(0, %(partitions)s - 1) p
""",
    """
INSERT INTO batch.files (path, topic, topic_id, partition, first_offset, next_offset, dt, rows, bytes, sha256,
       min_append_us, max_append_us, min_event_time_us, max_event_time_us, created_us, event_days, rules_version,
       earliest_event_us, maximum_before, maximum_after)
SELECT %(topic)s || '/' || number || '-' || partition, %(topic)s, %(id)s, partition, number * %(records)s,
       (number + 1) * %(records)s, day, %(records)s, 1, repeat('0', 64), start_us + 36000000000, start_us + 43200000000,
       start_us + 36000000000, start_us + 43200000000, 0, ARRAY[day], 1, 0,
       jsonb_build_array(CASE WHEN number > 0 THEN start_us - 43200000000 END, NULL, NULL),
       jsonb_build_array(start_us + 43200000000, NULL, NULL)
  FROM days
""",
    """
INSERT INTO speed.panes (topic_id, partition, start_us, community, model_version, policy_version, comments, reviews,
                         removals, score_sum, late)
SELECT %(id)s, partition, start_us + n::bigint * 300000000, 'science', '1', 'p', 1, 0, 0, 0, 0
  FROM days, generate_series(0, %(panes)s - 1) n
""",
    """
INSERT INTO batch.runs (topic, day, revision, state, engine, begun_us, finished_us, cut, digest, panes, batch_comments,
       speed_comments, causes, lost, unexplained, phantom, residual, agreement, kernel_version, code_version,
       differences_url, started_by)
SELECT DISTINCT %(topic)s, day, 1, 'final', 'duckdb', start_us + 90000000000, start_us + 90000000000,
       jsonb_build_object(%(id)s::text, (SELECT jsonb_object_agg(p::text, jsonb_build_object('archived', %(days)s * 10))
                                           FROM generate_series(0, %(partitions)s - 1) p)),
       '', 0, 0, 0, '{}'::jsonb, 0, 0, 0, 0, '{}'::jsonb, '1', '1', '', 'a test'
  FROM days WHERE day < %(newest)s
""",
)


@dataclass(frozen=True)
class Work:
    """What a night reads.

    Attributes:
        days: that it reconciles.
        manifest: rows of the manifest.
        tasks: files of the lake.
        panes: rows of speed.panes that the choice of days reads.
        all_panes: rows that the table has.
    """

    days: list[date]
    manifest: int
    tasks: list[str]
    panes: int
    all_panes: int


def rows_of(plan: dict[str, Any], table: str) -> int:
    """Sum the rows of a table that a plan's scans returned or discarded."""
    own = 0
    if plan.get("Relation Name") == table:
        own = round(plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)))
    return own + sum(rows_of(each, table) for each in plan.get("Plans", []))


@pytest.fixture
def topic_ids(lake: LakeUnderTest) -> Iterator[list[uuid.UUID]]:
    made: list[uuid.UUID] = []
    yield made
    with psycopg.connect(lake.database_url) as connection:
        for table in ("speed.source_offsets", "speed.served", "speed.panes", "speed.dead_letters", "batch.files"):
            connection.execute(f"DELETE FROM {table} WHERE topic_id = ANY(%s)", (made,))


def night_after(days: int, lake: LakeUnderTest, topic_ids: list[uuid.UUID], folder: Path) -> Work:
    """Fill in a history whose newest day has no run, and count the work of the night."""
    settings = lake.settings.model_copy(update={"topic_prefix": f"{lake.prefix}{days}-"})
    topic, topic_id = f"{settings.topic_prefix}comments", uuid.uuid4()
    topic_ids.append(topic_id)
    values = {"newest": NEWEST, "days": days, "partitions": PARTITIONS, "topic": topic, "id": topic_id}
    values |= {"records": RECORDS, "panes": PANES}
    with psycopg.connect(lake.database_url) as connection:
        connection.execute(psycopg.ClientCursor(connection).mogrify(_HISTORY, values))
        for statement in _FILLED:
            connection.execute(statement, values)
        connection.execute("DROP TABLE days")
    with psycopg.connect(lake.database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE speed.panes")
        explained = {"topic": topic, "upto": NEWEST, "horizon_days": 30}
        row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {runs._DIRTY}", explained).fetchone()
        assert row is not None
        plan = (row[0] if isinstance(row[0], list) else json.loads(row[0]))[0]["Plan"]
        store = LakeStore(settings.lake_url)
        with take_snapshot(lake.database_url, topic, day_bounds_us(NEWEST), folder / str(days), store) as snapshot:
            tasks = plan_file_tasks(snapshot, lambda: None, store)
    paths = [task.file.path.removeprefix(f"{topic}/{days - 1}-") for task in tasks]
    assert {task.maximum_before.newest_event_us for task in tasks} == {
        day_bounds_us(NEWEST - timedelta(days=1))[0] + 43_200_000_000
    }
    chosen = days_to_reconcile(settings, NEWEST)
    return Work(chosen, len(snapshot.manifest), paths, rows_of(plan, "panes"), days * PARTITIONS * PANES)


@pytest.mark.budget(20)
def test_a_night_after_400_days_reads_what_a_night_after_4_days_reads(
    lake: LakeUnderTest, topic_ids: list[uuid.UUID], tmp_path: Path
) -> None:
    short = night_after(4, lake, topic_ids, tmp_path)
    long = night_after(400, lake, topic_ids, tmp_path)
    assert (short.days, short.manifest, short.tasks) == ([NEWEST], PARTITIONS, ["0", "1", "2", "3"])
    assert (long.days, long.manifest, long.tasks) == (short.days, short.manifest, short.tasks)
    # One entry of the index for each day and partition, and one beyond the last.
    assert long.panes <= 401 * PARTITIONS < long.all_panes / 30
    # A partition whose chain of maxima is broken is read from its beginning; so is one with other facts.
    breaks = {
        "UPDATE batch.files SET maximum_after = NULL WHERE topic_id = %s AND partition = 1 AND first_offset = 50": 400,
        "UPDATE batch.files SET maximum_before = '[7, null, null]' WHERE topic_id = %s AND partition = 2 "
        "AND first_offset = 70": 800,
        "UPDATE speed.served SET rules_version = 2 WHERE topic_id = %s AND partition = 3": 1_200,
        'INSERT INTO speed.dead_letters (topic_id, partition, "offset", append_us, reason, detail, raw, raw_length, '
        "raw_sha256) VALUES (%s, 0, 11, 1, 'processing_failed', '', '', 0, '')": 1_600,
    }
    with psycopg.connect(lake.database_url, autocommit=True) as connection:
        for number, (statement, files) in enumerate(breaks.items(), 1):
            connection.execute(statement, (topic_ids[1],))
            topic = f"{lake.prefix}400-comments"
            store = LakeStore(lake.settings.lake_url)
            with take_snapshot(
                lake.database_url, topic, day_bounds_us(NEWEST), tmp_path / f"broken-{number}", store
            ) as snapshot:
                assert len(snapshot.manifest) == files + PARTITIONS - number
