"""Create the day partitions of ``speed.decisions`` ahead of time, and move rows out of its DEFAULT partition.

Workers and readers continue meanwhile. One transaction creates a day's partition, moves the day's rows into it and
attaches it, so every snapshot contains each row exactly once, and a killed run leaves nothing behind. Most rows
are moved before the transaction takes a lock that blocks others; under that lock it moves only the rows stored since. A
lock that is not granted soon is given up and tried again.

Days that may have rows are attached under ACCESS EXCLUSIVE on ``speed.decisions`` itself. A lock on DEFAULT alone is
not enough: a reader that planned its query before the change, and waited for DEFAULT, would not read the new partition.
Days ahead have no rows, so SHARE UPDATE EXCLUSIVE is enough: workers insert into other partitions and do not wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, LiteralString

import psycopg

from moderation.adapters.sql.connection import Connection, connected
from moderation.adapters.sql.locks import HOLDERS, describe
from moderation.adapters.sql.partition_plan import DAYS_AHEAD, DayRange, days_ahead, plan_partitions
from moderation.errors import ConfigurationError, TableLocked

DEFAULT = "speed.decisions_default"
DAYS_LOCK = 7_205_760
"""Advisory lock for creating day partitions."""
_PATIENCE_SECONDS = 120.0
_FIRST_LOCK_SECONDS, _LONGEST_LOCK_SECONDS = 0.2, 1.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 10.0
_PARTITIONS = """
SELECT bounds[1]::date, bounds[2]::date
  FROM (SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), $$FROM \\('([^']+)'\\) TO \\('([^']+)'\\)$$) AS bounds
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'speed.decisions'::regclass) each
 WHERE bounds IS NOT NULL
"""
_IN_DEFAULT = f"SELECT append_day, count(*) FROM {DEFAULT} GROUP BY 1"  # noqa: S608 - a constant
_BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_log = logging.getLogger(__name__)
Step = Callable[[str], None]


@dataclass(slots=True)
class PartitionReport:
    """The result of a run.

    Attributes:
        days_ahead: days after today that have a partition now, without a break; -1 if today has none.
        created: append days whose partition was created.
        moved: rows that were moved out of DEFAULT, by append day.
        far: rows that stay in DEFAULT because their append day is outside the limits, by append day.
        longest_lock_seconds: the longest time that workers or readers could have waited for a lock of the run.
    """

    days_ahead: int = -1
    created: list[date] = field(default_factory=list)
    moved: dict[date, int] = field(default_factory=dict)
    far: dict[date, int] = field(default_factory=dict)
    longest_lock_seconds: float = 0.0

    def fields(self) -> dict[str, Any]:
        """Return the report as JSON fields; days are ISO 8601."""
        return {
            "days_ahead": self.days_ahead,
            "created": [day.isoformat() for day in self.created],
            "moved": {day.isoformat(): rows for day, rows in self.moved.items()},
            "far": {day.isoformat(): rows for day, rows in self.far.items()},
            "longest_lock_seconds": round(self.longest_lock_seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class PartitionState:
    """The row of view ``serving.decision_partitions``.

    Attributes:
        days_ahead: days after today that have a partition, without a break; -1 if today has none.
        default_rows: rows in DEFAULT that the next run moves.
        default_since_us: when the first of them was stored; None without one.
        default_far_rows: rows in DEFAULT whose append day is outside the limits.
    """

    days_ahead: int
    default_rows: int
    default_since_us: int | None
    default_far_rows: int


def partition_state(url: str) -> PartitionState:
    """Read the state of the partitions.

    Args:
        url: a libpq connection string.

    Raises:
        DatabaseUnavailable: the server cannot be reached.
        LedgerUnsafe: the view is missing.
    """
    with connected(url) as connection:
        row = connection.execute(
            "SELECT days_ahead, default_rows, default_since_us, default_far_rows FROM serving.decision_partitions"
        ).fetchone()
    if row is None:
        raise ValueError("an aggregate without a row")
    return PartitionState(*row)


def keep_partitions(
    url: str,
    days: int = DAYS_AHEAD,
    *,
    today: date | None = None,
    seconds: float = _PATIENCE_SECONDS,
    on_step: Step = lambda _: None,
) -> PartitionReport:
    """Create the partitions of today and the days ahead, and move rows of these and earlier days out of DEFAULT.

    Idempotent; safe to kill and to run concurrently.

    Args:
        url: a libpq connection string, of a member of role ``moderation_batch`` or of the role that owns the tables.
        days: number of days after today that get a partition.
        today: the UTC day; None for the day of the server.
        seconds: how long locks are tried, in total.
        on_step: called with each step's name; for tests.

    Raises:
        TableLocked: a lock was not granted in that time; the message names sessions that may hold it.
        DatabaseUnavailable: the server cannot be reached.
        ConfigurationError: the role may not create partitions, or a table that is not a partition has a
            partition's name.
        LedgerUnsafe: the tables are missing.
    """
    with connected(url, name="moderation partitions") as connection:
        try:
            return _Run(connection, time.monotonic() + seconds, seconds, on_step).run(days, today)
        except psycopg.errors.InsufficientPrivilege as error:
            cause = str(error).strip().split("\n")[0]
            raise ConfigurationError(
                "PostgreSQL",
                cause,
                "Use a member of role moderation_batch, or the role that owns the tables, in MODERATION_DATABASE_URL.",
            ) from error


class _Run:
    def __init__(self, connection: Connection, until: float, seconds: float, on_step: Step) -> None:
        self._connection = connection
        self._until = until
        self._seconds = seconds
        self._on_step = on_step
        self._report = PartitionReport()

    def run(self, days: int, today: date | None) -> PartitionReport:
        today = today or self._value("SELECT (now() AT TIME ZONE 'UTC')::date")
        in_default: dict[date, int] = dict(self._connection.execute(_IN_DEFAULT).fetchall())
        plan = plan_partitions(today, days, self._partitions(), in_default)
        self._report.far = dict(plan.far)
        in_the_way = [name for day in plan.move if (name := self._create(day, moves=True))]
        if self._report.moved:
            # Attaching a partition scans DEFAULT, including dead rows.
            self._connection.execute(f"VACUUM (SKIP_LOCKED, ANALYZE) {DEFAULT}")
        in_the_way += [name for day in plan.ahead if (name := self._create(day, moves=False))]
        self._report.days_ahead = days_ahead(today, self._partitions())
        if in_the_way:
            raise ConfigurationError(
                f"tables {', '.join(in_the_way)}",
                "they are not partitions of speed.decisions, but have the names of partitions that are missing",
                "Rename or drop them, or attach them, then run `moderation partitions` again.",
            )
        return self._report

    def _create(self, day: date, *, moves: bool) -> str | None:
        """Create the partition of a day; return the name of another table with that name."""
        name = f"speed.decisions_{day:%Y%m%d}"
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            try:
                with self._connection.transaction():
                    self._set_lock_timeout(_LONGEST_LOCK_SECONDS)
                    self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (DAYS_LOCK,))
                    if any(each.first <= day < each.end for each in self._partitions()):
                        return None
                    if self._value("SELECT to_regclass(%s)", name) is not None:
                        return name
                    rows, locked_at = self._fill_and_attach(day, moves=moves)
                self._on_step("committed")
                break
            except _BUSY:
                self._wait(pause_seconds)
            except psycopg.errors.CheckViolation:
                # DEFAULT has received rows of the day since the plan was made.
                if moves:
                    raise
                moves = True
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
        self._report.longest_lock_seconds = max(self._report.longest_lock_seconds, time.monotonic() - locked_at)
        self._report.created.append(day)
        if rows:
            self._report.moved[day] = rows
        return None

    def _fill_and_attach(self, day: date, *, moves: bool) -> tuple[int, float]:
        """Create, fill and attach a partition in a transaction; return moved rows, and when others began to wait."""
        self._value("SELECT speed.create_day_table(%s)", day)
        self._on_step("created")
        rows = self._move_rows(day) if moves else 0
        self._on_step("moved")
        lock_seconds, pause_seconds = _FIRST_LOCK_SECONDS, _FIRST_PAUSE_SECONDS
        while True:
            locked_at = time.monotonic()
            try:
                with self._connection.transaction():  # a savepoint
                    self._set_lock_timeout(lock_seconds)
                    self._value("SELECT speed.lock_decisions(%s)", moves)
                    self._on_step("locked")
                    late = self._move_rows(day) if moves else 0
                    self._value("SELECT speed.attach_day_table(%s)", day)
                    self._on_step("attached")
                return rows + late, locked_at
            except _BUSY:
                self._report.longest_lock_seconds = max(self._report.longest_lock_seconds, time.monotonic() - locked_at)
                self._wait(pause_seconds)
            rows += self._move_rows(day) if moves else 0  # so that few rows are moved under the lock
            lock_seconds = min(2 * lock_seconds, _LONGEST_LOCK_SECONDS)
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _move_rows(self, day: date) -> int:
        return int(self._value("SELECT speed.move_to_day_table(%s)", day))

    def _wait(self, pause_seconds: float) -> None:
        holders: list[tuple[int, str, datetime | None]] = self._connection.execute(HOLDERS).fetchall()
        if time.monotonic() + pause_seconds > self._until:
            raise TableLocked(
                "table speed.decisions",
                f"it could not be locked within {self._seconds:g} s; transactions are open: {describe(holders)}",
                "End them or wait; then run `moderation partitions` again. Workers continue meanwhile.",
            )
        _log.warning("speed.decisions is locked; trying again; transactions are open: %s", describe(holders))
        time.sleep(pause_seconds)

    def _set_lock_timeout(self, seconds: float) -> None:
        self._connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{round(1_000 * seconds)}ms",))

    def _partitions(self) -> list[DayRange]:
        return [DayRange(*bounds) for bounds in self._connection.execute(_PARTITIONS).fetchall()]

    def _value(self, query: LiteralString, *values: object) -> Any:
        row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]
