"""Drop the decisions of old append days; their event days keep the results of their last reconciliation.

An append day may be dropped if every day of event time of which it has decisions is final and has no records that its
last run did not read. One transaction freezes these days, records the append day and drops its partition.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import psycopg

from moderation.adapters.reconciliation.frozen_days import freeze_day
from moderation.adapters.reconciliation.runs import dirty_days, try_lock_day
from moderation.adapters.sql.connection import Connection
from moderation.adapters.sql.locks import HOLDERS, describe
from moderation.errors import ConfigurationError, TableLocked
from moderation.timestamps import now_us

FEWEST_DAYS = 2
"""Append days younger than this may still get rows."""
_PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 1.0
_LOCK_TIMEOUT = "1s"
_APPEND_DAYS = """
SELECT DISTINCT append_day FROM (
    SELECT append_day FROM speed.decisions_default
     UNION
    SELECT substring(c.relname FROM 'decisions_(\\d{8})$')::date
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'speed.decisions'::regclass AND c.relname ~ '^decisions_\\d{8}$') days
 WHERE append_day < %s ORDER BY 1
"""
_CONTENT = """
SELECT coalesce(o.topic, d.topic_id::text), DATE '1970-01-01' + (d.event_time_us / 86400000000)::int, count(*)
  FROM speed.decisions d LEFT JOIN (SELECT DISTINCT topic_id, topic FROM speed.source_offsets) o USING (topic_id)
 WHERE d.append_day = %s GROUP BY 1, 2 ORDER BY 1, 2
"""
_FINAL = """
SELECT day FROM (SELECT DISTINCT ON (day) day, state FROM batch.runs WHERE topic = %s ORDER BY day, revision DESC) last
 WHERE state = 'final'
"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AppendDay:
    """The decisions of one append day.

    Attributes:
        day: the append day, UTC.
        rows: number of decisions of all topics.
        event_days: topics and days of event time of which it has decisions, in order.
        open_days: those of them that are not final, or have records that their last run did not read.
    """

    day: date
    rows: int
    event_days: tuple[tuple[str, date], ...]
    open_days: tuple[tuple[str, date], ...]


def find_append_days(connection: Connection, before: date, horizon_days: int) -> list[AppendDay]:
    """Return the append days before a day that have a partition or rows, in order.

    Args:
        connection: to the ledger's database.
        before: UTC; the first append day that stays.
        horizon_days: see :func:`dirty_days`.

    Raises:
        ConfigurationError: the day is so recent that earlier append days may still get rows.
    """
    row = connection.execute("SELECT (now() AT TIME ZONE 'UTC')::date").fetchone()
    newest = date.max if row is None else row[0] - timedelta(days=FEWEST_DAYS)
    if before > newest:
        raise ConfigurationError(
            f"day {before}",
            f"append days from {newest} on may still get decisions",
            f"Name {newest} or an earlier day.",
        )
    closed: dict[str, set[date]] = {}
    found = []
    for (append_day,) in connection.execute(_APPEND_DAYS, (before,)).fetchall():
        content = connection.execute(_CONTENT, (append_day,)).fetchall()
        for topic in {topic for topic, _, _ in content} - closed.keys():
            closed[topic] = _final_days(connection, topic) - set(dirty_days(connection, topic, date.max, horizon_days))
        event_days = tuple((topic, day) for topic, day, _ in content)
        is_open = tuple((topic, day) for topic, day in event_days if day not in closed[topic])
        found.append(AppendDay(append_day, sum(rows for *_, rows in content), event_days, is_open))
    return found


def retire(connection: Connection, append_day: AppendDay, reason: str, seconds: float = _PATIENCE_SECONDS) -> None:
    """Freeze the event days of an append day, record it, and drop its decisions, in one transaction.

    Args:
        connection: to the ledger's database, as a member of role ``moderation_retention``, or as the role that owns the
            tables.
        append_day: without open days.
        reason: stored with the append day and the frozen days.
        seconds: how long locks are tried.

    Raises:
        ConfigurationError: the append day has open days, or the role may not retire days.
        TableLocked: a lock was not granted in that time, or an event day is being reconciled; nothing was changed.
    """
    _require_none(append_day.open_days, append_day.day)
    until = time.monotonic() + seconds
    while True:
        try:
            with connection.transaction():
                connection.execute("SELECT set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))
                _retire(connection, append_day, reason)
            return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            holders = describe(connection.execute(HOLDERS).fetchall())
            if time.monotonic() > until:
                raise TableLocked(
                    "table speed.decisions",
                    f"it could not be locked within {seconds:g} s; transactions are open: {holders}",
                    "End them or wait; then run `moderation retire` again. Nothing was changed for this day.",
                ) from error
            _log.warning("speed.decisions is locked; trying again; transactions are open: %s", holders)
        except psycopg.errors.InsufficientPrivilege as error:
            cause = str(error).strip().split("\n")[0]
            raise ConfigurationError(
                "PostgreSQL",
                cause,
                "Use a member of role moderation_retention, or the role that owns the tables, in "
                "MODERATION_DATABASE_URL.",
            ) from error
        time.sleep(_PAUSE_SECONDS)


def _require_none(open_days: Sequence[tuple[str, date]], append_day: date) -> None:
    if open_days:
        named = ", ".join(f"{day} of {topic}" for topic, day in open_days[:3])
        raise ConfigurationError(
            f"append day {append_day}",
            f"it has decisions of {len(open_days)} days that are not final or have new records: {named}",
            "Reconcile them first: `moderation reconcile --date DAY`.",
        )


def _final_days(connection: Connection, topic: str) -> set[date]:
    return {day for (day,) in connection.execute(_FINAL, (topic,))}


def _lock_event_days(connection: Connection, append_day: AppendDay) -> None:
    """Keep reconciliations out: one that read the ledger after the drop would store every dropped row as lost."""
    for topic, day in append_day.event_days:
        if not try_lock_day(connection, topic, day):
            raise TableLocked(
                f"{day} of {topic}",
                "it is being reconciled",
                f"Run `moderation retire` again after that. Nothing was changed for append day {append_day.day}.",
            )
    final = {topic: _final_days(connection, topic) for topic, _ in append_day.event_days}
    is_open = [(topic, day) for topic, day in append_day.event_days if day not in final[topic]]
    _require_none(is_open, append_day.day)  # a reconciliation may have ended since the days were listed


def _retire(connection: Connection, append_day: AppendDay, reason: str) -> None:
    _lock_event_days(connection, append_day)
    at_us = now_us()
    for topic, day in append_day.event_days:
        freeze_day(connection, topic, day, f"decisions of append day {append_day.day} were retired: {reason}", at_us)
    connection.execute(
        "INSERT INTO speed.retired_days (append_day, retired_us, rows, reason) VALUES (%s, %s, %s, %s)",
        (append_day.day, at_us, append_day.rows, reason),
    )
    # Last, because everyone waits from here to the commit.
    connection.execute("SELECT speed.retire_append_day(%s)", (append_day.day,))
