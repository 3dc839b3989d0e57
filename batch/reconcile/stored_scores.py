"""Take the scores and verdicts of versions that cannot be opened any more from the ledger.

All else of these records is recomputed from the lake: whether they are counted, late or copies, lost or only in the
ledger, and in which pane they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from batch.reconcile.engines import opened_duckdb

_IS_STORED = "u.model_version IS NOT NULL AND NOT r.is_quarantined"
_JOINED = """
  FROM recomputed r
  LEFT JOIN unopened u ON u.model_version = r.model_version
  LEFT JOIN ledger l ON u.model_version IS NOT NULL
                    AND l.topic_id = r.topic_id AND l.part = r.part AND l.pos = r.pos
"""
_REPLACED = f"""
SELECT r.* REPLACE (CASE WHEN {_IS_STORED} THEN coalesce(l.score, 0)::INTEGER ELSE r.score END AS score,
                    CASE WHEN {_IS_STORED} THEN coalesce(l.verdict, 0)::INTEGER ELSE r.verdict END AS verdict)
{_JOINED}
"""
_COUNTED = f"""
SELECT r.model_version, count(*) {_JOINED} WHERE {_IS_STORED} AND l.pos IS NOT NULL GROUP BY 1 ORDER BY 1
"""


def use_stored_scores(folder: Path, recomputed: Path, ledger: Path, unopened: Mapping[str, str]) -> dict[str, int]:
    """Write the recomputed records again, with the ledger's scores and verdicts for some versions.

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
