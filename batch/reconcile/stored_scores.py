"""Take scores, verdicts and reasons of versions that cannot be opened any more from the ledger.

All else of these records is recomputed from the lake: whether they are counted, late or copies, lost or only in the
ledger, and in which pane they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from batch.reconcile.engines import opened_duckdb
from moderation.adapters.reconciliation.ledger_digests import Hour
from moderation.adapters.reconciliation.row_digests import with_digests
from moderation.timestamps import HOUR_US

_IS_STORED = "u.model_version IS NOT NULL AND NOT r.is_quarantined"
_JOINED = """
  FROM recomputed r
  LEFT JOIN unopened u ON u.model_version = r.model_version
  LEFT JOIN ledger l ON u.model_version IS NOT NULL
                    AND l.topic_id = r.topic_id AND l.part = r.part AND l.pos = r.pos
"""
_SCORED = f"""
SELECT r.* EXCLUDE (digest_upper, digest_lower)
           REPLACE (CASE WHEN {_IS_STORED} THEN coalesce(l.score, 0)::INTEGER ELSE r.score END AS score,
                    CASE WHEN {_IS_STORED} THEN coalesce(l.verdict, 0)::INTEGER ELSE r.verdict END AS verdict,
                    CASE WHEN {_IS_STORED} THEN coalesce(l.reasons, '') ELSE r.reasons END AS reasons)
{_JOINED}
"""
_REPLACED = with_digests(_SCORED)
_HOURS = f"""
SELECT DISTINCT topic_id, part, event_us - event_us % {HOUR_US} FROM recomputed
 WHERE list_contains(?, model_version) AND NOT is_quarantined ORDER BY ALL
"""
_COUNTED = f"""
SELECT r.model_version, count(*) {_JOINED} WHERE {_IS_STORED} AND l.pos IS NOT NULL GROUP BY 1 ORDER BY 1
"""


def hours_of_versions(recomputed: Path, versions: Collection[str]) -> list[Hour]:
    """Return the partitions and hours that have records of some versions.

    Args:
        recomputed: folder of the recomputed records.
        versions: their numbers.
    """
    work = recomputed.with_name("hours-of-versions")
    work.mkdir()
    with opened_duckdb(work) as duck:
        duck.read_parquet(f"{recomputed}/*.parquet", hive_partitioning=False).create_view("recomputed")
        return [Hour(*row) for row in duck.execute(_HOURS, [list(versions)]).fetchall()]


def use_stored_scores(folder: Path, recomputed: Path, ledger: Path, unopened: Mapping[str, str]) -> dict[str, int]:
    """Write the recomputed records again, with the ledger's scores, verdicts and reasons for some versions.

    A record that the ledger does not have keeps score 0 and verdict ``allow``.

    Args:
        folder: receives the file ``0.parquet``; created if absent.
        recomputed: folder of the recomputed records.
        ledger: folder of the ledger's rows.
        unopened: the versions; the values do not matter.

    Returns:
        Number of records with stored scores by version; versions without one are left out.
    """
    work = folder.with_name(f"{folder.name}-work")  # Spark reads every file of the folder
    for each in (folder, work):
        each.mkdir(parents=True, exist_ok=True)
    with opened_duckdb(work) as duck:
        for name, files in (("recomputed", recomputed), ("ledger", ledger)):
            duck.read_parquet(f"{files}/*.parquet", hive_partitioning=False).create_view(name)
        duck.execute("CREATE TABLE unopened (model_version VARCHAR)")
        duck.executemany("INSERT INTO unopened VALUES (?)", [(version,) for version in unopened])
        duck.sql(_REPLACED).write_parquet(str(folder / "0.parquet"), compression="zstd")
        rows: list[tuple[str, int]] = duck.sql(_COUNTED).fetchall()
    return dict(rows)
