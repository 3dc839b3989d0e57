"""Digests of the ledger's rows by pane, computed from the rows by PostgreSQL; and the rows of chosen hours."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from moderation.adapters.reconciliation.row_digests import RowsDigest, row_text
from moderation.adapters.reconciliation.snapshot import Snapshot, case_number, export_rows, ledger_columns
from moderation.adapters.sql.connection import connected
from moderation.contracts import Fate, Verdict
from moderation.panes import PANE_US
from moderation.timestamps import HOUR_US, day_of


class Hour(NamedTuple):
    """One hour of event time of one partition; ``start_us`` in microseconds since the epoch."""

    topic_id: str
    part: int
    start_us: int


AGES_US = (0, 300_000_000, 900_000_000, 3_600_000_000, 21_600_000_000, 86_400_000_000)
"""Times after the end of a pane's hour at which provisional numbers are measured."""
_TEXT = row_text(
    {
        **{"part": "d.partition", "pos": 'd."offset"', "event_us": "d.event_time_us", "append_us": "d.append_us"},
        **{"score": "d.score_ppm", "verdict": case_number("d.verdict", list(Verdict))},
        **{"fate": case_number("d.fate", list(Fate)), "topic_id": "d.topic_id::text"},
        **{"record_id": "encode(d.record_id, 'hex')", "model_version": "d.model_version"},
        **{"policy_version": "d.policy_version", "kernel_version": "d.kernel_version"},
        **{"repairs": "coalesce(d.repairs, '')", "reasons": "coalesce(d.reasons::text, '')"},
        **{"community": "d.community", "comment_id": "d.comment_id"},
    },
    "octet_length",
)
# OFFSET 0 keeps PostgreSQL from computing the hash once for each of its halves.
_DIGESTS = f"""
SELECT d.topic_id::text AS topic_id, d.partition AS part, d.community,
       d.event_time_us - d.event_time_us % {PANE_US} AS start_us, d.model_version, d.policy_version,
       d.fate = '{Fate.COUNTED}' AS is_counted, count(*) AS rows,
       sum(('x' || substr(h.sha, 1, 16))::bit(64)::bigint)::text AS upper,
       sum(('x' || substr(h.sha, 17, 16))::bit(64)::bigint)::text AS lower, {
    ", ".join(
        f"count(*) FILTER (WHERE d.stored_us <= d.event_time_us - d.event_time_us % {HOUR_US} + {HOUR_US + age_us}) "
        f"AS age{number}"
        for number, age_us in enumerate(AGES_US)
    )
}
  FROM speed.decisions d
 CROSS JOIN LATERAL (SELECT encode(sha256(convert_to({_TEXT}, 'UTF8')), 'hex') AS sha OFFSET 0) h
 WHERE d.topic_id = ANY('{{{{{{topics}}}}}}'::uuid[]) AND d.append_day >= '{{first_append_day}}'::date
   AND d.event_time_us >= {{start_us}} AND d.event_time_us < {{end_us}}
 GROUP BY 1, 2, 3, 4, 5, 6, 7
"""  # noqa: S608 - constants, numbers and ids
_ROWS = f"""
SELECT {ledger_columns("d.", "NULL::bigint")}
  FROM speed.decisions d
  JOIN (VALUES {{hours}}) AS h(topic_id, part, start_us, next)
    ON h.topic_id = d.topic_id AND h.part = d.partition AND d.event_time_us >= h.start_us
   AND d.event_time_us < h.start_us + {HOUR_US} AND d."offset" < h.next
 WHERE d.append_day >= '{{first_append_day}}'::date AND d.event_time_us >= {{start_us}} AND d.event_time_us < {{end_us}}
"""  # noqa: S608 - the same
DIGESTS_QUERY = _DIGESTS


@dataclass(frozen=True, slots=True)
class LedgerDigests:
    """Digests of the ledger's rows of a day.

    Attributes:
        hours: by partition and hour.
        file: Parquet file with one row for each pane and whether its rows count; has the columns ``age0``, ….
    """

    hours: Mapping[Hour, RowsDigest]
    file: Path


def read_ledger_digests(folder: Path) -> LedgerDigests:
    """Read the digests that a snapshot exported.

    Args:
        folder: the folder ``ledger_digests`` of the snapshot.
    """
    file = folder / "0.parquet"
    hours: dict[Hour, RowsDigest] = {}
    names = ["topic_id", "part", "start_us", "rows", "upper", "lower"]
    with pq.ParquetFile(file) as opened:
        for batch in opened.iter_batches(columns=names):
            for topic_id, part, start_us, rows, upper, lower in zip(
                *(batch.column(name).to_pylist() for name in names), strict=True
            ):
                hour = Hour(topic_id, part, start_us - start_us % HOUR_US)
                hours[hour] = hours.get(hour, RowsDigest()).plus(RowsDigest.of(rows, int(upper), int(lower)))
    return LedgerDigests(hours, file)


def export_ledger_rows(url: str, snapshot: Snapshot, hours: Collection[Hour], folder: Path) -> None:
    """Write the ledger's rows of hours to a Parquet file, up to the offsets of the snapshot.

    Rows of the ledger do not change, so that a later transaction reads the rows of the snapshot.

    Args:
        url: a libpq connection string.
        snapshot: pins the ends of the ledger.
        hours: whose rows are exported; at least one.
        folder: receives ``0.parquet``, with the columns of the full export; ``stored_us`` is null.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    ends = {(str(each.topic_id), each.partition): cut.next for each, cut in snapshot.cuts.items()}
    values = ", ".join(
        f"('{hour.topic_id}'::uuid, {hour.part}, {hour.start_us}::bigint, {ends.get(hour[:2], 0)}::bigint)"
        for hour in sorted(hours)
    )
    query = _ROWS.format(
        hours=values,
        first_append_day=day_of(snapshot.start_us) - timedelta(days=1),
        start_us=snapshot.start_us,
        end_us=snapshot.end_us,
    )
    with connected(url, name="moderation ledger rows") as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        export_rows(connection, url, query, folder)
