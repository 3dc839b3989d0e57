"""Results of a day from an engine's output: panes with causes, the state, and a digest that equal results share."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
import pyarrow.parquet as pq

from batch.reconcile.sql import FATES, KEY, VERDICTS
from batch.record_isolation import Failure
from moderation.adapters.reconciliation.ledger_digests import AGES_US
from moderation.contracts import Cause
from moderation.panes import MEASURES, PANE_US

ROWS_KEPT = 1_000
"""Maximum number of differences of a pane and cause in PostgreSQL; the Parquet file contains all."""
_KEYS = ", ".join(KEY)
_OPEN = (Cause.UNARCHIVED, Cause.UNPROCESSED)
Key = tuple[Any, ...]


def _named(column: str, values: tuple[str, ...]) -> str:
    whens = " ".join(f"WHEN {number} THEN '{value}'" for number, value in enumerate(values))
    return f"CASE {column} {whens} END"


# Dead letters are in no pane: community and versions are empty, and both times are the append time.
_ALL_DIFFERENCES = f"""
SELECT topic_id, part, pos, cause, community, start_us, model_version, policy_version, {", ".join(MEASURES)},
       comment_id, event_us, b_score, b_verdict, l_score, l_verdict, l_fate FROM differences
 UNION ALL
SELECT topic_id, part, pos, cause, '', append_us - append_us % {PANE_US}, '', '', {", ".join("0" for _ in MEASURES)},
       NULL, append_us, NULL, NULL, NULL, NULL, NULL FROM letter_terms
"""
_DIFFERENCES = f"""
SELECT topic_id, part AS partition, pos AS "offset", community, start_us, model_version, policy_version, cause,
       {", ".join(MEASURES)}, comment_id, event_us AS event_time_us, b_score AS batch_score_ppm,
       {_named("b_verdict", VERDICTS)} AS batch_verdict, l_score AS speed_score_ppm,
       {_named("l_verdict", VERDICTS)} AS speed_verdict, {_named("l_fate", FATES)} AS speed_fate
  FROM all_differences ORDER BY topic_id, start_us, part, pos, community, model_version, policy_version, cause
"""
# A row whose two sides belong to two panes is a difference in each of them, but counts as one row.
_COUNTED = """
SELECT cause, count(*) FROM (SELECT DISTINCT cause, topic_id, part, pos FROM all_differences) GROUP BY cause
"""
# A digest of the differing rows and their amounts that does not depend on their order.
_FINGERPRINT = f"""
SELECT count(*), bit_xor(md5_number(concat_ws('|', topic_id, part, pos, cause, community, start_us, model_version,
                                              policy_version, {", ".join(MEASURES)}))) FROM all_differences
"""


@dataclass(frozen=True, slots=True)
class PaneResult:
    """One pane with both sides.

    Attributes:
        key: topic id, partition, community, start, model and policy version.
        batch, speed, residual: the four measures.
        late: number of late comments of the batch.
        causes: by cause the differing ``rows`` and their sum of batch minus speed.
        stored_by_age: comments stored by the ages of ``AGES_US`` after the end of the pane's hour.
    """

    key: Key
    batch: tuple[int, ...]
    speed: tuple[int, ...]
    residual: tuple[int, ...]
    late: int
    causes: Mapping[str, Mapping[str, int]]
    stored_by_age: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DayResults:
    """Results of a day.

    Attributes:
        by_pane: in order of keys.
        causes: rows by cause, for all causes.
        agreement: number of comments by model version, last action and verdict.
        differences: a Parquet file with all differences.
        digest: SHA-256 over state, panes, causes, which rows differ, and which records only the batch fails at.
        state: see :func:`state_of`.
        not_recomputed: number of these records.
    """

    by_pane: list[PaneResult]
    causes: dict[str, int]
    agreement: dict[str, dict[str, dict[str, int]]]
    differences: Path
    digest: str
    state: str
    not_recomputed: int = 0

    @property
    def panes(self) -> int:
        """Number of panes."""
        return len(self.by_pane)

    @property
    def batch_comments(self) -> int:
        """Comments according to the batch."""
        return sum(pane.batch[0] for pane in self.by_pane)

    @property
    def speed_comments(self) -> int:
        """Comments according to the speed layer's panes."""
        return sum(pane.speed[0] for pane in self.by_pane)

    @property
    def residual(self) -> int:
        """Number of panes whose differences the causes do not explain."""
        return sum(any(pane.residual) for pane in self.by_pane)

    def pane_rows(self) -> Iterator[tuple[object, ...]]:
        """Yield rows of ``batch.panes`` without the run."""
        for pane in self.by_pane:
            causes, ages = json.dumps(pane.causes), list(pane.stored_by_age)
            yield (*pane.key, *pane.batch, *pane.speed, *pane.residual, pane.late, causes, ages)

    def difference_rows(self) -> Iterator[tuple[object, ...]]:
        """Yield rows of ``batch.differences`` without the run: the first ``ROWS_KEPT`` of each pane and cause."""
        # A window function over all rows would need too much memory. The file is in the order of the panes' start.
        pane, kept = None, Counter[Key]()
        with pq.ParquetFile(self.differences) as file:
            for batch in file.iter_batches(10_000):
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    topic_id, partition, _, community, start_us, *versions_and_cause = row[:8]
                    if pane != (topic_id, start_us, partition):
                        pane = topic_id, start_us, partition
                        kept.clear()
                    key = community, *versions_and_cause
                    kept[key] += 1
                    if kept[key] <= ROWS_KEPT:
                        yield row


def state_of(causes: Mapping[str, int], *, is_read: bool = True) -> str:
    """Return the state of a day.

    Args:
        causes: rows by cause.
        is_read: whether archive and worker have read every partition beyond the end of the day.

    Returns:
        ``final`` if they have, and nothing is unarchived or unprocessed; else ``provisional``.
    """
    return "final" if is_read and not any(causes[cause] for cause in _OPEN) else "provisional"


def read_results(
    results: Mapping[str, Path],
    folder: Path,
    *,
    is_read: bool = True,
    stored_scores: Mapping[str, int] = MappingProxyType({}),
    failures: Sequence[Failure] = (),
) -> DayResults:
    """Read the results of an engine.

    Args:
        results: as :meth:`batch.reconcile.engines.Engine.run` returned them.
        folder: where the file of all differences is written.
        is_read: see :func:`state_of`.
        stored_scores: records with scores of the ledger, by version; part of the digest.
        failures: records at which only the batch fails; their number and positions are part of the digest.
    """
    differences = folder / "all_differences.parquet"
    with duckdb.connect(config={"memory_limit": "1GB", "temp_directory": str(folder / "sorting")}) as duck:
        for name, path in results.items():
            files = f"{path}/*.parquet" if path.is_dir() else str(path)
            duck.read_parquet(files).create_view(name)
        duck.execute(f"CREATE VIEW all_differences AS {_ALL_DIFFERENCES}")
        duck.sql(_DIFFERENCES).write_parquet(str(differences), compression="zstd")
        by_pane = _panes(duck)
        counted = duck.sql(_COUNTED).fetchall()
        agreement: dict[str, dict[str, dict[str, int]]] = {}
        for model_version, action, verdict, comments in duck.sql(
            "SELECT model_version, action, verdict, comments FROM agreement ORDER BY 1, 2, 3"
        ).fetchall():
            agreement.setdefault(model_version, {}).setdefault(action, {})[VERDICTS[verdict]] = comments
        fingerprint = [str(value) for value in duck.sql(_FINGERPRINT).fetchall()[0]]
    causes = {cause.value: 0 for cause in Cause} | dict(counted)
    state = state_of(causes, is_read=is_read)
    if stored_scores:
        fingerprint += [f"{version}={rows}" for version, rows in sorted(stored_scores.items())]
    if failures:
        fingerprint += [f"not recomputed: {len(failures)}", *(_position(each) for each in sorted(failures))]
    digest = _digest(state, by_pane, causes, fingerprint)
    return DayResults(by_pane, causes, agreement, differences, digest, state, len(failures))


def _position(failure: Failure) -> str:
    return f"{failure.topic_id}/{failure.partition}/{failure.offset}"


def _panes(duck: duckdb.DuckDBPyConnection) -> list[PaneResult]:
    causes: dict[Key, dict[str, dict[str, int]]] = {}
    for *parts, cause, differing, comments, reviews, removals, score_sum in duck.sql(
        f"SELECT {_KEYS}, cause, differing, {', '.join(MEASURES)} FROM pane_causes ORDER BY ALL"
    ).fetchall():
        sums = {"comments": comments, "reviews": reviews, "removals": removals, "score_sum": score_sum}
        causes.setdefault(tuple(parts), {})[cause] = {"rows": differing, **sums}
    ages: dict[Key, tuple[int, ...]] = {
        tuple(row[: len(KEY)]): tuple(row[len(KEY) :])
        for row in duck.sql(f"SELECT {_KEYS}, {', '.join(f'age{n}' for n in range(len(AGES_US)))} FROM ages").fetchall()
    }
    sides = ", ".join(f"{side}_{measure}" for side in ("batch", "speed", "caused") for measure in MEASURES)
    panes = []
    none = (0,) * len(AGES_US)
    for row in duck.sql(f"SELECT {_KEYS}, {sides}, late FROM panes ORDER BY ALL").fetchall():
        numbers = iter(row)
        key: Key = tuple(islice(numbers, len(KEY)))
        batch, speed, caused = (tuple(islice(numbers, len(MEASURES))) for _ in range(3))
        residual = tuple(b - s - c for b, s, c in zip(batch, speed, caused, strict=True))
        late = next(numbers)
        panes.append(PaneResult(key, batch, speed, residual, late, causes.get(key, {}), ages.get(key, none)))
    return panes


def _digest(state: str, by_pane: list[PaneResult], causes: Mapping[str, int], fingerprint: list[str]) -> str:
    head = [state, dict(sorted(causes.items())), fingerprint]
    digest = hashlib.sha256(json.dumps(head).encode())
    for pane in by_pane:
        line = [pane.key, pane.batch, pane.speed, pane.residual, pane.late, pane.causes]
        digest.update(json.dumps(line, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
