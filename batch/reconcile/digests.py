"""Compare lake and ledger by digests of hours first; only rows of hours that differ leave PostgreSQL.

The rows that the ledger must have follow from the lake: every recomputed record below the ledger's end without a dead
letter, with the fate that the worker gives it. If the digests of these rows are those of the ledger's rows of a
partition and hour, the ledger has exactly these rows. Of such an hour only records that count differently in batch and
speed layer are compared row by row: late ones, copies, and those that the ledger does not have.

PostgreSQL hashes the ledger's rows. The lake's records are hashed when they are scored, and kept with their digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from batch.progress import OnProgress
from batch.reconcile.engines import opened_duckdb
from batch.reconcile.sql import COPIES_OF_REPEATED, FATES, REPEATED
from moderation.adapters.reconciliation.ledger_digests import AGES_US, Hour, export_ledger_rows
from moderation.adapters.reconciliation.row_digests import KEYS, with_digests
from moderation.adapters.reconciliation.snapshot import Snapshot
from moderation.contracts import Fate
from moderation.errors import LedgerUnsafe
from moderation.panes import PANE_US
from moderation.timestamps import HOUR_US

OUTPUTS = ("copies", "compared", "ledger", "stored_ages")
"""Inputs of the engine that a comparison by digests writes."""
_MEMORY_BYTES = 2 * 1024**3
_LATE, _DUPLICATE, _COUNTED = (FATES.index(fate) for fate in (Fate.LATE, Fate.DUPLICATE, Fate.COUNTED))
# Copies within a partition: the worker counts the first that it decides and that is not late.
_OWN_COPIES = """
CREATE TABLE own_copies AS SELECT topic_id, part, pos FROM (
    SELECT topic_id, part, pos, row_number() OVER (PARTITION BY topic_id, part, record_id ORDER BY pos) AS nth
      FROM repeated r ANTI JOIN letters d USING (topic_id, part, pos)
     WHERE NOT is_late) WHERE nth > 1
"""
# ``fate`` is null for records of which the ledger has no decision: undecided ones, and those with a dead letter.
_DECIDED = f"""
CREATE VIEW decided AS
SELECT r.*, r.event_us - r.event_us % {HOUR_US} AS hour_us, c.pos IS NOT NULL AS is_copy,
       CASE WHEN r.is_quarantined OR r.pos >= coalesce(k.next, 0) OR d.pos IS NOT NULL THEN NULL
            WHEN r.is_late THEN {_LATE} WHEN o.pos IS NOT NULL THEN {_DUPLICATE} ELSE {_COUNTED} END AS fate
  FROM recomputed r
  LEFT JOIN copies c USING (topic_id, part, pos) LEFT JOIN own_copies o USING (topic_id, part, pos)
  LEFT JOIN letters d USING (topic_id, part, pos) LEFT JOIN cuts k USING (topic_id, part)
"""


_KEYS = ", ".join(KEYS)
# Rows at or above the ledger's end are exported on their own: nothing but a fault stores them.
_LEDGER_DIGESTS = "CREATE VIEW ledger_digests AS SELECT * EXCLUDE (is_beyond) FROM stored_digests WHERE NOT is_beyond"


def digests_of_groups(query: str) -> str:
    """Return the query of the digests of a query's rows by group; rows without a fate are left out."""
    return f"""
SELECT topic_id, part, community, event_us - event_us % {PANE_US} AS start_us, model_version, policy_version,
       kernel_version, repairs, fate, count(*) AS rows, sum(digest_upper) AS upper, sum(digest_lower) AS lower
  FROM ({query}) WHERE fate IS NOT NULL GROUP BY ALL
"""


def hours_of_digests(left: str, right: str) -> str:
    """Return the query of the hours of two queries' digests, and whether any digest differs."""
    return f"""
SELECT topic_id, part, start_us - start_us % {HOUR_US} AS hour_us, bool_or(differs) AS differs
  FROM (SELECT {_KEYS}, sum(rows) <> 0 OR sum(upper) <> 0 OR sum(lower) <> 0 AS differs
          FROM (SELECT {_KEYS}, rows, upper::HUGEINT AS upper, lower::HUGEINT AS lower FROM ({left})
                 UNION ALL
                SELECT {_KEYS}, -rows, -upper::HUGEINT, -lower::HUGEINT FROM ({right}))
         GROUP BY {_KEYS})
 GROUP BY ALL ORDER BY ALL
"""


_LEDGER_COLUMNS = (
    *("topic_id", "part", "pos", "event_us", "append_us", "community", "comment_id", "record_id", "score", "verdict"),
    *("reasons", "fate", "stored_us", "model_version", "policy_version", "kernel_version", "repairs"),
)
# Records of settled hours that are compared row by row, because they may count differently.
_SPECIAL = f"(is_copy OR is_late OR is_other_model OR fate IS NULL OR fate <> {_COUNTED})"
_CHOSEN = f"""
CREATE TABLE chosen AS
SELECT d.*, h.differs IS NOT FALSE AS differs FROM decided d
  LEFT JOIN hours h ON h.topic_id = d.topic_id AND h.part = d.part AND h.hour_us = d.hour_us
 WHERE h.differs IS NOT FALSE OR {_SPECIAL}
"""
_COMPARED = "SELECT * EXCLUDE (hour_us, is_copy, fate, differs) FROM chosen"
_LEDGER = f"""
SELECT {", ".join("NULL::BIGINT AS stored_us" if name == "stored_us" else name for name in _LEDGER_COLUMNS)}
  FROM chosen WHERE NOT differs AND fate IS NOT NULL
"""
_STORED_AGES = f"""
SELECT topic_id, part, community, start_us, model_version, policy_version, {
    ", ".join(
        f"coalesce(sum(rows) FILTER (age <= {number}), 0)::BIGINT AS age{number}" for number in range(len(AGES_US))
    )
} FROM stored_digests WHERE fate = {_COUNTED} GROUP BY ALL
"""


@dataclass(frozen=True, slots=True)
class DigestReport:
    """Outcome of the comparison by digests.

    Attributes:
        hours: partitions and hours with rows on either side.
        different: of these the ones whose digests differ.
        exported: rows of the ledger that left PostgreSQL.
    """

    hours: int
    different: int
    exported: int


def compare_digests(
    url: str, snapshot: Snapshot, inputs: Mapping[str, Path], folder: Path, on_progress: OnProgress
) -> DigestReport:
    """Compare digests, and write the inputs of the comparison of rows: those of ``OUTPUTS``.

    Args:
        url: a libpq connection string.
        snapshot: exported ``ledger_digests`` into ``folder``, and rows beyond the ledger's end into ``beyond_end``.
        inputs: folders of the engine's inputs and of ``copies``; ``recomputed``, ``letters`` and ``cuts`` are there.
        folder: for intermediate files.
        on_progress: receives one line at each step.

    Raises:
        LedgerUnsafe: rows of the ledger changed during the comparison.
        DatabaseUnavailable: the database cannot be reached.
    """
    exported = inputs["ledger"] / "0.parquet"
    work = folder / "digests"
    work.mkdir()
    with opened_duckdb(work, _MEMORY_BYTES) as duck:
        on_progress("comparing digests")
        different = settle(duck, inputs, folder / "ledger_digests")
        rows = 0
        if different:
            on_progress(f"reading the ledger's rows of {len(different):,} hours that differ")
            export_ledger_rows(url, snapshot, different, inputs["ledger"])
            require_unchanged(duck, exported)
            rows = pq.read_metadata(exported).num_rows
        beyond_end = folder / "beyond_end" / "0.parquet"
        if beyond_end.exists():
            beyond_end.rename(inputs["ledger"] / "beyond_end.parquet")
        [[hours]] = duck.sql("SELECT count(*) FROM hours").fetchall()
    return DigestReport(int(hours), len(different), rows)


def settle(duck: duckdb.DuckDBPyConnection, inputs: Mapping[str, Path], ledger_digests: Path) -> list[Hour]:
    """Compare the digests, and write what the comparison of rows needs of hours with equal digests.

    Args:
        duck: an empty database.
        inputs: see :func:`compare_digests`.
        ledger_digests: folder with the result of the query ``ledger_digests.digests_query``.

    Returns:
        The hours whose digests differ, in order.
    """
    for name in ("recomputed", "letters", "cuts"):
        duck.read_parquet(f"{inputs[name]}/*.parquet", hive_partitioning=False).create_view(name)
    duck.read_parquet(f"{ledger_digests}/*.parquet", hive_partitioning=False).create_view("stored_digests")
    duck.execute(_LEDGER_DIGESTS)
    duck.execute(f"CREATE TABLE repeated AS {REPEATED}")
    duck.execute(f"CREATE TABLE copies AS {COPIES_OF_REPEATED}")
    duck.execute(_OWN_COPIES)
    duck.execute(_DECIDED)
    duck.execute(f"CREATE TABLE hours AS {hours_of_digests(digests_of_groups('FROM decided'), 'FROM ledger_digests')}")
    duck.execute(_CHOSEN)
    for name, query in (
        ("copies", "FROM copies"),
        ("compared", _COMPARED),
        ("ledger", _LEDGER),
        ("stored_ages", _STORED_AGES),
    ):
        inputs[name].mkdir(parents=True, exist_ok=True)
        duck.sql(query).write_parquet(str(inputs[name] / "settled.parquet"), compression="lz4")
    return [Hour(*row) for row in duck.sql("SELECT topic_id, part, hour_us FROM hours WHERE differs").fetchall()]


def require_unchanged(duck: duckdb.DuckDBPyConnection, exported: Path) -> None:
    """Check that exported rows of the ledger are those whose digests were compared.

    Args:
        duck: after :func:`settle`.
        exported: Parquet file with the ledger's rows of the hours that differ.

    Raises:
        LedgerUnsafe: they are not.
    """
    duck.read_parquet(str(exported)).create_view("exported")
    compared = f"""
SELECT l.* FROM ledger_digests l JOIN hours h
    ON h.differs AND h.topic_id = l.topic_id AND h.part = l.part AND h.hour_us = l.start_us - l.start_us % {HOUR_US}
"""
    changed = hours_of_digests(digests_of_groups(with_digests("FROM exported")), compared)
    for topic_id, part, hour_us in duck.sql(
        f"SELECT topic_id, part, hour_us FROM ({changed}) WHERE differs"
    ).fetchall():
        raise LedgerUnsafe(
            f"table speed.decisions, topic {topic_id} partition {part}, hour {hour_us}",
            "its rows changed while they were compared; decisions never change",
            "Find what writes to the table besides the worker, then reconcile the day again.",
        )
