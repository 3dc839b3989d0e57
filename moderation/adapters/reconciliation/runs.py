"""Store and read reconciliation runs; each revision is stored in one transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from moderation.adapters.sql.advisory_locks import advisory_lock
from moderation.adapters.sql.connection import Connection
from moderation.panes import MEASURES

NIGHT_HOURS = 48
"""A reconciliation that ended earlier is not that of the last nights: gate and promotion ignore it."""
_PANE_COLUMNS = (
    *("run_id", "topic_id", "partition", "community", "start_us", "model_version", "policy_version"),
    *(f"{side}_{measure}" for side in ("batch", "speed", "residual") for measure in MEASURES),
    *("late", "causes", "stored_by_age"),
)
_DIFFERENCE_COLUMNS = (
    *("run_id", "topic_id", "partition", '"offset"', "community", "start_us", "model_version", "policy_version"),
    *("cause", *MEASURES, "comment_id", "event_time_us"),
    *("batch_score_ppm", "batch_verdict", "speed_score_ppm", "speed_verdict", "speed_fate"),
)
_RUN_COLUMNS = (
    "topic, day, revision, state, engine, begun_us, finished_us, cut, digest, panes, batch_comments, speed_comments, "
    "causes, lost, unexplained, phantom, residual, agreement, kernel_version, code_version, differences_url, "
    "started_by, other_defects, not_recomputed"
)
# Days of the stream are read from the index of the panes, one entry for each day and partition, not from all panes.
# Days in the lake with records that the last run of the day did not read, and how long after the day's end they came.
_DAYS = """
WITH RECURSIVE last AS (
    SELECT DISTINCT ON (day) day, state, begun_us, cut
      FROM batch.runs WHERE topic = %(topic)s ORDER BY day, revision DESC
), source AS (
    SELECT topic_id, partition FROM speed.source_offsets WHERE topic = %(topic)s
), first_pane AS (
    SELECT s.topic_id, s.partition, p.start_us FROM source s CROSS JOIN LATERAL (
           SELECT min(p.start_us) AS start_us FROM speed.panes p
            WHERE p.topic_id = s.topic_id AND p.partition = s.partition) p
     WHERE p.start_us IS NOT NULL
     UNION ALL
    SELECT f.topic_id, f.partition, p.start_us FROM first_pane f CROSS JOIN LATERAL (
           SELECT min(p.start_us) AS start_us FROM speed.panes p
            WHERE p.topic_id = f.topic_id AND p.partition = f.partition
              AND p.start_us >= (f.start_us / 86400000000 + 1) * 86400000000) p
     WHERE p.start_us IS NOT NULL
), speed AS (
    SELECT DISTINCT DATE '1970-01-01' + (start_us / 86400000000)::int AS day FROM first_pane
), lake AS (
    SELECT f.topic_id, f.partition, f.next_offset, d.day, f.max_append_us - (d.day - DATE '1970-01-01' + 1)::bigint
           * 86400000000 AS after_us
      FROM batch.files f
     CROSS JOIN LATERAL (
           SELECT unnest(f.event_days) AS day
           UNION ALL
           SELECT s.day FROM speed s WHERE f.event_days IS NULL
              AND s.day BETWEEN DATE '1970-01-01' + (f.min_event_time_us / 86400000000)::int
                            AND DATE '1970-01-01' + (f.max_event_time_us / 86400000000)::int) d
     WHERE f.topic = %(topic)s
), unread AS (
    SELECT day, min(after_us) <= %(horizon_days)s * 86400000000 AS is_recent
      FROM lake l LEFT JOIN last USING (day)
     WHERE l.next_offset > coalesce((last.cut->(l.topic_id::text)->(l.partition::text)->>'archived')::bigint, 0)
     GROUP BY day
), frozen AS (
    SELECT day FROM batch.frozen_days WHERE topic = %(topic)s
)
"""
# A day needs another run if it is provisional, if its last run began before the day was over, or if it has such records
# within the horizon. A day without a run needs one if the stream counted comments of it, whenever they came. A frozen
# day never needs one.
_DIRTY = f"""{_DAYS}
SELECT day FROM (
    SELECT day FROM speed WHERE day NOT IN (SELECT day FROM last)
     UNION SELECT day FROM last
            WHERE state = 'provisional' OR begun_us < ((day - DATE '1970-01-01')::bigint + 1) * 86400000000
     UNION SELECT day FROM unread WHERE is_recent
    ) found
 WHERE day <= %(upto)s AND NOT EXISTS (SELECT FROM frozen f WHERE f.day = found.day) ORDER BY day DESC
"""  # noqa: S608 - constants
_TOO_LATE = f"""{_DAYS}
SELECT day FROM unread WHERE NOT is_recent AND day <= %(upto)s
   AND day NOT IN (SELECT day FROM speed WHERE day NOT IN (SELECT day FROM last))
   AND day NOT IN (SELECT day FROM frozen)
 ORDER BY day DESC
"""  # noqa: S608 - constants
_DEFECTS = """
SELECT day, lost + unexplained + phantom + residual + other_defects + not_recomputed AS defects, true AS is_run FROM (
    SELECT DISTINCT ON (day) * FROM batch.runs WHERE topic = %(topic)s ORDER BY day, revision DESC) last
 WHERE finished_us >= %(since_us)s
 UNION ALL
SELECT day, unpublished + published_otherwise + published_unknown, false
  FROM batch.published_checks WHERE topic = %(topic)s AND checked_us >= %(since_us)s
"""
_FROZEN = f"""{_DAYS}
SELECT day FROM unread JOIN frozen USING (day) WHERE day <= %(upto)s ORDER BY day DESC
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Run:
    """One reconciliation of one day; the fields are the columns of ``batch.runs``."""

    topic: str
    day: date
    state: str
    engine: str
    begun_us: int
    finished_us: int
    cut: Mapping[str, Any]
    digest: str
    panes: int
    batch_comments: int
    speed_comments: int
    causes: Mapping[str, int]
    lost: int
    unexplained: int
    phantom: int
    residual: int
    agreement: Mapping[str, Any]
    kernel_version: str
    code_version: str
    differences_url: str
    started_by: str
    other_defects: int = 0
    not_recomputed: int = 0


class StoredScores(NamedTuple):
    """Records of a day whose scores and verdicts are the ledger's, because their version cannot be opened any more."""

    model_version: str
    rows: int
    reason: str


@dataclass(frozen=True, slots=True)
class StoredRun:
    """The last run of a day as it is stored; the fields are those of :class:`Run`, and ``revision``."""

    revision: int
    state: str
    engine: str
    panes: int
    batch_comments: int
    speed_comments: int
    causes: Mapping[str, int]
    residual: int
    not_recomputed: int


@contextmanager
def day_lock(connection: Connection, topic: str, day: date, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Lock a day against other reconciliations while the block runs; wait for a running one."""

    def wait(holder: str) -> None:
        on_wait(f"another reconciliation of {day} is running: {holder}; waiting for its end")

    with advisory_lock(connection, _lock_key(topic, day), wait):
        yield


def try_lock_day(connection: Connection, topic: str, day: date) -> bool:
    """Lock a day against reconciliations until the end of the open transaction; return whether none was running."""
    key = _lock_key(topic, day)
    return connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (key,)).fetchone() == (True,)


def _lock_key(topic: str, day: date) -> int:
    seed = hashlib.sha256(f"reconcile {topic} {day}".encode()).digest()
    return int.from_bytes(seed[:8], "big", signed=True)


def last_run(connection: Connection, topic: str, day: date) -> tuple[int, int, str] | None:
    """Read id, revision and digest of the last run of a day; None before the first."""
    row = connection.execute(
        "SELECT run_id, revision, digest FROM batch.runs WHERE topic = %s AND day = %s ORDER BY revision DESC LIMIT 1",
        (topic, day),
    ).fetchone()
    return None if row is None else (row[0], row[1], row[2])


def stored_run(connection: Connection, topic: str, day: date) -> StoredRun | None:
    """Read the results of the last run of a day; None before the first."""
    row = connection.execute(
        "SELECT revision, state, engine, panes, batch_comments, speed_comments, causes, residual, not_recomputed "
        "FROM batch.runs WHERE topic = %s AND day = %s ORDER BY revision DESC LIMIT 1",
        (topic, day),
    ).fetchone()
    return None if row is None else StoredRun(*row)


def add_run(
    connection: Connection,
    run: Run,
    panes: Iterable[Sequence[object]],
    differences: Iterable[Sequence[object]],
    before_commit: Callable[[], None] = lambda: None,
    stored_scores: Iterable[StoredScores] = (),
) -> int:
    """Store a run, in one transaction.

    A run with the results of the last revision adds no revision; the last one gets the cut and times of the run.

    Args:
        connection: to the database.
        run: results of the day.
        panes: rows of ``batch.panes`` without ``run_id``.
        differences: rows of ``batch.differences`` without ``run_id``.
        before_commit: called before the commit; for tests.
        stored_scores: versions whose scores are those of the ledger.

    Returns:
        The revision.
    """
    with connection.transaction():
        last = last_run(connection, run.topic, run.day)
        if last is not None and last[2] == run.digest:
            connection.execute(
                "UPDATE batch.runs SET cut = %s, agreement = %s, begun_us = %s, finished_us = %s WHERE run_id = %s",
                (json.dumps(run.cut), json.dumps(run.agreement), run.begun_us, run.finished_us, last[0]),
            )
            before_commit()
            return last[1]
        revision = 1 if last is None else last[1] + 1
        values = (
            *(run.topic, run.day, revision, run.state, run.engine, run.begun_us, run.finished_us),
            *(json.dumps(run.cut), run.digest, run.panes, run.batch_comments, run.speed_comments),
            *(json.dumps(run.causes), run.lost, run.unexplained, run.phantom, run.residual),
            *(json.dumps(run.agreement), run.kernel_version, run.code_version, run.differences_url, run.started_by),
            *(run.other_defects, run.not_recomputed),
        )
        marks = ", ".join(["%s"] * len(values))
        row = connection.execute(
            f"INSERT INTO batch.runs ({_RUN_COLUMNS}) VALUES ({marks}) RETURNING run_id",  # noqa: S608 - fixed names
            values,
        ).fetchone()
        run_id = None if row is None else row[0]
        _copy(connection, "batch.panes", _PANE_COLUMNS, run_id, panes)
        _copy(connection, "batch.differences", _DIFFERENCE_COLUMNS, run_id, differences)
        for each in stored_scores:
            connection.execute(
                "INSERT INTO batch.stored_scores (run_id, model_version, rows, reason) VALUES (%s, %s, %s, %s)",
                (run_id, each.model_version, each.rows, each.reason),
            )
        before_commit()
        return revision


def recent_defects(connection: Connection, topic: str, since_us: int) -> int | None:
    """Sum the defects of days that were reconciled, or compared with published topics, since a time.

    Returns:
        The sum over the last revisions and comparisons; None if no day was reconciled.
    """
    row = connection.execute(
        f"SELECT sum(defects)::bigint, bool_or(is_run) FROM ({_DEFECTS}) found",  # noqa: S608 - fixed text
        {"topic": topic, "since_us": since_us},
    ).fetchone()
    return None if row is None or not row[1] else row[0]


def open_defects(connection: Connection, topic: str, since_us: int) -> list[tuple[date, int]]:
    """Read days with defects, and their number, among the days that :func:`recent_defects` sums; oldest first."""
    rows = connection.execute(
        f"SELECT day, sum(defects)::bigint FROM ({_DEFECTS}) found WHERE defects > 0 GROUP BY day ORDER BY day",  # noqa: S608
        {"topic": topic, "since_us": since_us},
    )
    return [(day, int(defects)) for day, defects in rows]


def dirty_days(connection: Connection, topic: str, upto: date, horizon_days: int) -> list[date]:
    """Return days up to this one that need another run, newest first.

    They are provisional, were run before their end, or have new records that came within the horizon after their end.
    """
    values = {"topic": topic, "upto": upto, "horizon_days": horizon_days}
    return [row[0] for row in connection.execute(_DIRTY, values)]


def days_beyond_horizon(connection: Connection, topic: str, upto: date, horizon_days: int) -> list[date]:
    """Return days up to this one whose new records all came later than the horizon, newest first."""
    values = {"topic": topic, "upto": upto, "horizon_days": horizon_days}
    return [row[0] for row in connection.execute(_TOO_LATE, values)]


def frozen_days_with_new_records(connection: Connection, topic: str, upto: date, horizon_days: int) -> list[date]:
    """Return frozen days up to this one of which the lake has records that their last run did not read, newest first.

    Args:
        connection: to the ledger's database.
        topic: full name.
        upto: last day.
        horizon_days: see :func:`dirty_days`.
    """
    values = {"topic": topic, "upto": upto, "horizon_days": horizon_days}
    return [row[0] for row in connection.execute(_FROZEN, values)]


def _copy(
    connection: Connection, table: str, columns: Sequence[str], run_id: object, rows: Iterable[Sequence[object]]
) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row((run_id, *row))
