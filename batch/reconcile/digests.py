"""Compare lake and ledger by digests of hours first; only rows of hours that differ leave PostgreSQL.

The rows that the ledger must have follow from the lake: every recomputed record below the ledger's end without a dead
letter, with the fate that the worker gives it. If the digest of these rows is that of the ledger's rows of a partition
and hour, the ledger has exactly these rows. Of such an hour only records that count differently in batch and speed
layer are compared row by row: late ones, copies, and those that the ledger does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from batch.progress import OnProgress
from batch.reconcile.engines import opened_duckdb
from batch.reconcile.sql import FATES, STATEMENTS
from moderation.adapters.reconciliation.ledger_digests import (
    AGES_US,
    Hour,
    LedgerDigests,
    export_ledger_rows,
    read_ledger_digests,
)
from moderation.adapters.reconciliation.row_digests import NUMBERS, TEXTS, RowsDigest, row_text
from moderation.adapters.reconciliation.snapshot import Snapshot
from moderation.contracts import Fate
from moderation.errors import LedgerUnsafe
from moderation.timestamps import HOUR_US

_MEMORY_BYTES = 2 * 1024**3
_LATE, _DUPLICATE, _COUNTED = (FATES.index(fate) for fate in (Fate.LATE, Fate.DUPLICATE, Fate.COUNTED))
# Copies within a partition: the worker counts the first that is not late. The hash finds candidates, the id decides.
_OWN_COPIES = """
CREATE TABLE own_copies AS SELECT topic_id, part, pos FROM (
    SELECT r.topic_id, r.part, r.pos,
           row_number() OVER (PARTITION BY r.topic_id, r.part, r.record_id ORDER BY r.pos) AS nth
      FROM recomputed r
      JOIN (SELECT topic_id, part, record_hash FROM recomputed WHERE NOT is_quarantined AND NOT is_late
             GROUP BY ALL HAVING count(*) > 1) h USING (topic_id, part, record_hash)
     WHERE NOT r.is_quarantined AND NOT r.is_late) WHERE nth > 1
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


def _sums(table: str) -> str:
    columns = {name: name for name in (*NUMBERS, *TEXTS)} | {"record_id": "lower(hex(record_id))"}
    number = "CASE WHEN {0} >= 9223372036854775808 THEN {0}::HUGEINT - 18446744073709551616 ELSE {0}::HUGEINT END"
    upper, lower = (number.format(f"('0x' || substr(sha, {first}, 16))::UBIGINT") for first in (1, 17))
    return f"""
SELECT topic_id, part, hour_us, count(*), sum({upper})::VARCHAR, sum({lower})::VARCHAR
  FROM (SELECT topic_id, part, event_us - event_us % {HOUR_US} AS hour_us,
               sha256({row_text(columns, "strlen")}) AS sha FROM {table} WHERE fate IS NOT NULL) GROUP BY ALL
"""


_LEDGER_COLUMNS = (
    *("topic_id", "part", "pos", "event_us", "append_us", "community", "comment_id", "record_id", "score", "verdict"),
    *("reasons", "fate", "stored_us", "model_version", "policy_version", "kernel_version", "repairs"),
)
# Records of settled hours that are compared row by row, because they may count differently.
_SPECIAL = f"(is_copy OR is_late OR is_other_model OR fate IS NULL OR fate <> {_COUNTED})"
_COMPARED = f"""
SELECT d.* EXCLUDE (hour_us, is_copy, fate) FROM decided d
  LEFT JOIN settled s ON s.topic_id = d.topic_id AND s.part = d.part AND s.hour_us = d.hour_us
 WHERE s.part IS NULL OR {_SPECIAL}
"""
_LEDGER = f"""
SELECT {", ".join("NULL::BIGINT AS stored_us" if name == "stored_us" else f"d.{name}" for name in _LEDGER_COLUMNS)}
  FROM decided d JOIN settled s ON s.topic_id = d.topic_id AND s.part = d.part AND s.hour_us = d.hour_us
 WHERE d.fate IS NOT NULL AND {_SPECIAL}
"""
_STORED_AGES = f"""
SELECT topic_id, part, community, start_us, model_version, policy_version,
       {", ".join(f"sum(age{number})::BIGINT AS age{number}" for number in range(len(AGES_US)))}
  FROM ledger_digests WHERE is_counted GROUP BY ALL
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
    """Compare digests, and write the inputs of the comparison of rows: ``compared``, ``ledger`` and ``stored_ages``.

    Args:
        url: a libpq connection string.
        snapshot: exported ``ledger_digests`` into ``folder``.
        inputs: folders of the engine's inputs; ``recomputed``, ``letters`` and ``cuts`` are there.
        folder: for intermediate files.
        on_progress: receives one line at each step.

    Raises:
        LedgerUnsafe: rows of the ledger changed during the comparison.
        DatabaseUnavailable: the database cannot be reached.
    """
    digests = read_ledger_digests(folder / "ledger_digests")
    exported = inputs["ledger"] / "0.parquet"
    work = folder / "digests"
    work.mkdir()
    with opened_duckdb(work, _MEMORY_BYTES) as duck:
        on_progress("comparing digests")
        different = settle(duck, inputs, digests)
        if different:
            on_progress(f"reading the ledger's rows of {len(different):,} hours that differ")
            export_ledger_rows(url, snapshot, different, inputs["ledger"])
            require_unchanged(duck, exported, {hour: digests.hours.get(hour, RowsDigest()) for hour in different})
        hours = int(duck.sql("SELECT count(*) FROM settled").fetchall()[0][0]) + len(different)
    rows = sum(digests.hours[hour].rows for hour in different if hour in digests.hours)
    return DigestReport(hours, len(different), rows)


def settle(duck: duckdb.DuckDBPyConnection, inputs: Mapping[str, Path], digests: LedgerDigests) -> list[Hour]:
    """Compute the lake's digests, and write what the comparison of rows needs of hours with equal digests.

    Args:
        duck: an empty database.
        inputs: see :func:`compare_digests`.
        digests: of the ledger.

    Returns:
        The hours whose digests differ, in order.
    """
    for name in ("recomputed", "letters", "cuts"):
        duck.read_parquet(f"{inputs[name]}/*.parquet", hive_partitioning=False).create_view(name)
    duck.read_parquet(str(digests.file), hive_partitioning=False).create_view("ledger_digests")
    duck.execute(f"CREATE TABLE copies AS {STATEMENTS['copies']}")
    duck.execute(_OWN_COPIES)
    duck.execute(_DECIDED)
    lake = digests_by_hour(duck, "decided")
    hours = lake.keys() | digests.hours.keys()
    different = sorted(hour for hour in hours if lake.get(hour) != digests.hours.get(hour))
    duck.execute("CREATE TABLE settled (topic_id VARCHAR, part INTEGER, hour_us BIGINT)")
    if settled := sorted(hours - set(different)):
        duck.executemany("INSERT INTO settled VALUES (?, ?, ?)", [list(hour) for hour in settled])
    for name, query in (
        ("compared", _COMPARED),
        ("ledger", _LEDGER),
        ("stored_ages", _STORED_AGES),
    ):
        inputs[name].mkdir(parents=True, exist_ok=True)
        duck.sql(query).write_parquet(str(inputs[name] / "settled.parquet"), compression="lz4")
    return different


def digests_by_hour(duck: duckdb.DuckDBPyConnection, table: str) -> dict[Hour, RowsDigest]:
    """Compute the digests of the rows of a table that have a fate, by partition and hour."""
    return {
        Hour(topic_id, part, hour_us): RowsDigest.of(rows, int(upper), int(lower))
        for topic_id, part, hour_us, rows, upper, lower in duck.sql(_sums(table)).fetchall()
    }


def require_unchanged(duck: duckdb.DuckDBPyConnection, exported: Path, expected: Mapping[Hour, RowsDigest]) -> None:
    """Check that exported rows of the ledger are those whose digests were compared.

    Args:
        duck: a database without view ``exported``.
        exported: Parquet file of the rows.
        expected: their digests by hour.

    Raises:
        LedgerUnsafe: they are not.
    """
    duck.read_parquet(str(exported)).create_view("exported")
    digests = digests_by_hour(duck, "exported")
    for hour, digest in expected.items():
        if digests.get(hour, RowsDigest()) != digest:
            raise LedgerUnsafe(
                f"table speed.decisions, topic {hour.topic_id} partition {hour.part}, hour {hour.start_us}",
                "its rows changed while they were compared; decisions never change",
                "Find what writes to the table besides the worker, then reconcile the day again.",
            )
