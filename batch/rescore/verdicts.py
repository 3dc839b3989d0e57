"""Compare the verdicts of another model version with those served, by community and by comment.

Inputs are those of :mod:`batch.reconcile.sql`: ``recomputed`` and ``ledger``. Of several copies of a comment record in
the lake only the first counts, as in the batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from batch.reconcile.sql import STATEMENTS, VERDICTS
from moderation.contracts import Verdict

MOST_DIFFERENT = 50
"""Maximum number of comments that the report names; the Parquet file contains all."""
Transition = tuple[Verdict, Verdict]
"""The served verdict, and that of the requested version."""

_COMPARED = """
SELECT r.topic_id, r.part, r.pos, r.comment_id, r.community, r.event_us, r.score, r.verdict,
       l.score AS served_score, l.verdict AS served_verdict, l.model_version AS served_version
  FROM recomputed r
  LEFT JOIN copies c ON c.topic_id = r.topic_id AND c.part = r.part AND c.pos = r.pos
  LEFT JOIN ledger l ON l.topic_id = r.topic_id AND l.part = r.part AND l.pos = r.pos
 WHERE c.pos IS NULL
"""
_TRANSITIONS = """
SELECT community, served_verdict, verdict, count(*), coalesce(sum(score - served_score), 0)::BIGINT
  FROM compared GROUP BY ALL
"""
_NOT_IN_LAKE = """
SELECT l.community, count(*)
  FROM ledger l ANTI JOIN recomputed r ON l.topic_id = r.topic_id AND l.part = r.part AND l.pos = r.pos
 GROUP BY l.community
"""
_SERVED_BY = """
SELECT served_version, count(*) FROM compared WHERE served_version IS NOT NULL GROUP BY ALL ORDER BY ALL
"""


def _named(column: str) -> str:
    whens = " ".join(f"WHEN {number} THEN '{verdict}'" for number, verdict in enumerate(VERDICTS))
    return f"CASE {column} {whens} END"


_ROWS = f"""
SELECT topic_id, part AS partition, pos AS "offset", comment_id, community, event_us AS event_time_us,
       served_score AS served_score_ppm, {_named("served_verdict")} AS served_verdict,
       served_version AS served_model_version, score AS score_ppm, {_named("verdict")} AS verdict
  FROM compared
"""
_MOST = f"""
SELECT * FROM ({_ROWS}) WHERE score_ppm <> served_score_ppm OR verdict <> served_verdict
 ORDER BY abs(score_ppm - served_score_ppm) DESC, verdict = served_verdict, topic_id, partition, "offset"
 LIMIT {MOST_DIFFERENT}
"""
# A digest of all rows that does not depend on their order.
_FINGERPRINT = """
SELECT count(*), bit_xor(md5_number(concat_ws('|', topic_id, part, pos, event_us, score, verdict,
           coalesce(served_score, -1), coalesce(served_verdict, -1), coalesce(served_version, '')))) FROM compared
"""


@dataclass(frozen=True, slots=True)
class VerdictCounts:
    """Counts of the comments of a community, or of all.

    Attributes:
        transitions: comments in lake and ledger, by served and requested verdict; pairs without a comment are left out.
        score_shift_sum: of the same comments, sum of the requested version's score minus the served one, in ppm.
        not_in_ledger: comments of the lake without a decision in the ledger.
        not_in_lake: decisions of the ledger on records that are not archived yet.
    """

    transitions: Mapping[Transition, int]
    score_shift_sum: int
    not_in_ledger: int
    not_in_lake: int

    @property
    def compared(self) -> int:
        """Comments with both verdicts."""
        return sum(self.transitions.values())

    @property
    def comments(self) -> int:
        """Comments of the lake."""
        return self.compared + self.not_in_ledger

    @property
    def changed(self) -> int:
        """Comments whose verdict would change."""
        return sum(count for (served, asked), count in self.transitions.items() if served != asked)

    @property
    def changed_share(self) -> float | None:
        """Share of the compared comments; None if there are none."""
        return self.changed / self.compared if self.compared else None

    @property
    def mean_score_shift_ppm(self) -> float | None:
        """Mean of the requested version's score minus the served one; None if there is no comment."""
        return self.score_shift_sum / self.compared if self.compared else None

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields; ``transitions`` by the verdict served, then by the other, all nine."""
        names = ("comments", "compared", "changed", "changed_share", "mean_score_shift_ppm")
        return {
            **{name: getattr(self, name) for name in (*names, "not_in_ledger", "not_in_lake")},
            "transitions": {
                served.value: {asked.value: self.transitions.get((served, asked), 0) for asked in VERDICTS}
                for served in VERDICTS
            },
        }


@dataclass(frozen=True, slots=True)
class DifferentComment:
    """A comment that the two versions score differently; see the columns of the Parquet file."""

    topic_id: str
    partition: int
    offset: int
    comment_id: str
    community: str
    event_time_us: int
    served_score_ppm: int
    served_verdict: str
    served_model_version: str
    score_ppm: int
    verdict: str

    @property
    def score_shift_ppm(self) -> int:
        """The requested version's score minus the served one."""
        return self.score_ppm - self.served_score_ppm

    def fields(self) -> dict[str, Any]:
        """Return the JSON fields."""
        return {**asdict(self), "score_shift_ppm": self.score_shift_ppm}


@dataclass(frozen=True, slots=True)
class VerdictDiff:
    """Differences between another version and the served ones.

    Attributes:
        communities: counts by community, in order of names.
        served_by: comments compared, by the model version that decided.
        most_different: at most ``MOST_DIFFERENT``, largest shift first; of equal ones changed verdicts first.
        fingerprint: number of rows, and a digest of the rows.
    """

    communities: Mapping[str, VerdictCounts]
    served_by: Mapping[str, int]
    most_different: Sequence[DifferentComment]
    fingerprint: tuple[str, str]

    @property
    def total(self) -> VerdictCounts:
        """The counts of all communities."""
        return sum_counts(self.communities.values())


def sum_counts(counts: Iterable[VerdictCounts]) -> VerdictCounts:
    """Return the sum of counts."""
    transitions: Counter[Transition] = Counter()
    shift = not_in_ledger = not_in_lake = 0
    for each in counts:
        transitions.update(each.transitions)
        shift += each.score_shift_sum
        not_in_ledger += each.not_in_ledger
        not_in_lake += each.not_in_lake
    return VerdictCounts(dict(transitions), shift, not_in_ledger, not_in_lake)


def compare_verdicts(duck: duckdb.DuckDBPyConnection, rows: Path) -> VerdictDiff:
    """Compare the verdicts of another version with those served.

    Args:
        duck: contains views ``recomputed`` and ``ledger``; gets tables ``copies`` and ``compared``.
        rows: Parquet file to write, one row for each comment of the lake in order of positions: both scores and
            verdicts. Served values are null if the ledger has none. It contains no texts.
    """
    duck.execute(f"CREATE TABLE copies AS {STATEMENTS['copies']}")
    duck.execute(f"CREATE TABLE compared AS {_COMPARED}")
    duck.sql(f"{_ROWS} ORDER BY topic_id, part, pos").write_parquet(str(rows), compression="zstd")
    most = [DifferentComment(*row) for row in duck.sql(_MOST).fetchall()]
    count, digest = duck.sql(_FINGERPRINT).fetchall()[0]
    served_by = dict(duck.sql(_SERVED_BY).fetchall())
    return VerdictDiff(_communities(duck), served_by, most, (str(count), str(digest)))


def _communities(duck: duckdb.DuckDBPyConnection) -> dict[str, VerdictCounts]:
    not_in_lake: dict[str, int] = dict(duck.sql(_NOT_IN_LAKE).fetchall())
    not_in_ledger: Counter[str] = Counter()
    shifts: Counter[str] = Counter()
    transitions: dict[str, Counter[Transition]] = {}
    for community, served, asked, comments, shift in duck.sql(_TRANSITIONS).fetchall():
        counter = transitions.setdefault(community, Counter())
        if served is None:
            not_in_ledger[community] += comments
        else:
            counter[VERDICTS[served], VERDICTS[asked]] += comments
            shifts[community] += shift
    return {
        name: VerdictCounts(
            dict(transitions.get(name, {})), shifts[name], not_in_ledger[name], not_in_lake.get(name, 0)
        )
        for name in sorted(transitions.keys() | not_in_lake.keys())
    }
