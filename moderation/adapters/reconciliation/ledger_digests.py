"""Digests of the ledger's rows, computed from the rows by PostgreSQL; and the rows of chosen hours."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from moderation.adapters.reconciliation.snapshot import Snapshot, case_number, export_rows, ledger_columns
from moderation.adapters.sql.connection import connected
from moderation.contracts import Fate
from moderation.panes import PANE_US
from moderation.timestamps import HOUR_US, day_of


class Hour(NamedTuple):
    """One hour of event time of one partition; ``start_us`` in microseconds since the epoch."""

    topic_id: str
    part: int
    start_us: int


AGES_US = (0, 300_000_000, 900_000_000, 3_600_000_000, 21_600_000_000, 86_400_000_000)
"""Times after the end of a pane's hour at which provisional numbers are measured."""
_AGE = f"""CASE WHEN stored_us IS NULL THEN {len(AGES_US)} {
    " ".join(
        f"WHEN stored_us <= event_time_us - event_time_us % {HOUR_US} + {HOUR_US + age_us} THEN {number}"
        for number, age_us in enumerate(AGES_US)
    )
} ELSE {len(AGES_US)} END"""
_CAST_VERSION = 180_000
_ROWS = f"""
SELECT {ledger_columns("d.", "NULL::bigint")}
  FROM speed.decisions d
  JOIN (VALUES {{hours}}) AS h(topic_id, part, start_us, next)
    ON h.topic_id = d.topic_id AND h.part = d.partition AND d.event_time_us >= h.start_us
   AND d.event_time_us < h.start_us + {HOUR_US} AND d."offset" < h.next
 WHERE d.append_day >= '{{first_append_day}}'::date AND d.event_time_us >= {{start_us}} AND d.event_time_us < {{end_us}}
"""  # noqa: S608 - the same


def digests_query(server_version: int) -> str:
    """Return the query of the digests of a day's rows, with place holders that ``take_snapshot`` fills in.

    The result has one row for each group of :mod:`moderation.adapters.reconciliation.row_digests` and each ``age``: the
    index of the first of ``AGES_US`` at which its rows were stored, ``len(AGES_US)`` if they came later or have no
    time. ``is_beyond`` is whether its rows are at or above the ledger's end. ``upper`` and ``lower`` are sums as texts.

    Args:
        server_version: of PostgreSQL as libpq numbers it, e.g. 180004.
    """
    upper, lower = (_signed_number(f"substring(sha FROM {first} FOR 8)", server_version) for first in (1, 9))
    # OFFSET 0 keeps PostgreSQL from computing the hash once for each of its halves, and keys of the inner query have no
    # statistics of a column, so that fewer groups than rows are expected. concat_ws leaves out nulls.
    return f"""
SELECT topic_id::text AS topic_id, part, community, start_us, model_version, policy_version, kernel_version,
       coalesce(repairs, '') AS repairs, {case_number("fate", list(Fate))} AS fate, age, is_beyond, rows,
       upper::text AS upper, lower::text AS lower
  FROM (SELECT topic_id, part, community, start_us, model_version, policy_version, kernel_version, repairs, fate, age,
               is_beyond, count(*) AS rows, sum({upper}) AS upper, sum({lower}) AS lower
          FROM (SELECT d.topic_id, d.partition AS part, community,
                       event_time_us - event_time_us % {PANE_US} AS start_us, model_version, policy_version,
                       kernel_version, repairs, fate, {_AGE} AS age,
                       "offset" >= coalesce(e.next, 0) AS is_beyond,
                       sha256(convert_to(concat_ws(
                           '|', "offset", event_time_us, append_us, score_ppm, verdict, octet_length(comment_id),
                           octet_length(record_id), comment_id, reasons), 'UTF8') || record_id) AS sha
                  FROM speed.decisions d LEFT JOIN (VALUES {{ends}}) AS e(topic_id, part, next)
                    ON e.topic_id = d.topic_id AND e.part = d.partition
                 WHERE d.topic_id = ANY('{{{{{{topics}}}}}}'::uuid[]) AND append_day >= '{{first_append_day}}'::date
                   AND event_time_us >= {{start_us}} AND event_time_us < {{end_us}} OFFSET 0) hashed
         GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11) grouped
"""  # noqa: S608 - constants, numbers and ids


def _signed_number(eight_bytes: str, server_version: int) -> str:
    if server_version >= _CAST_VERSION:
        return f"{eight_bytes}::bigint"
    return f"('x' || encode({eight_bytes}, 'hex'))::bit(64)::bigint"


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
