"""The benchmark's records have the columns of those that the batch layer recomputes."""

from __future__ import annotations

import duckdb

from batch.reconcile.recompute import SCHEMA
from local.bench.batch import _RECOMPUTED

_SOURCE = (
    "SELECT 1 AS o, 0 AS part, 1::BIGINT AS pos, 1::BIGINT AS event_us, 'a' AS community, 'c' AS comment_id, "
    "7 AS score, FALSE AS is_late"
)


def test_records_of_the_benchmark_have_the_columns_of_recomputed_ones() -> None:
    """A new column would otherwise be missed until somebody measures."""
    digests = {"digest_upper", "digest_lower"}  # added afterwards, to both
    with duckdb.connect() as duck:
        columns = duck.sql(_RECOMPUTED.format(source=_SOURCE)).columns
    assert set(columns) == set(SCHEMA.names) - digests
