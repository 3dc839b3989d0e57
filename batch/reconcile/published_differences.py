"""Differences between the records of a published topic and the rows of the ledger, with bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from batch.reconcile.engines import opened_duckdb
from moderation.adapters.kafka.row_records import PublishedTopic
from moderation.adapters.reconciliation.published_checks import PublishedCheck
from moderation.adapters.sql.published_rows import Place

_ROWS = 10_000
_EXAMPLES = 5
_MEMORY_BYTES = 1024**3
_EXAMPLE_CHARACTERS = 500
_SCHEMA = pa.schema(
    [
        *(("topic_id", pa.string()), ("part", pa.int32()), ("pos", pa.int64()), ("name", pa.string())),
        *(("digest", pa.binary(16)), ("must", pa.bool_()), ("nth", pa.int64())),
    ]
)
# Keys on the topic that no row of the day has.
_OTHERS = """
CREATE TABLE others AS
SELECT DISTINCT topic_id, part, pos, name FROM seen ANTI JOIN of_day USING (topic_id, part, pos, name) WHERE must;
"""
_OTHER_PLACES = "SELECT DISTINCT topic_id, part, pos FROM others WHERE topic_id <> '' ORDER BY ALL"
# A decision is published with one value only. A pane that was published before a reset of the watermark may have
# changed since: the last record of its key counts, once it is published again. ``name`` distinguishes panes of a start.
_ALL = "SELECT *, must AS counts FROM seen"
_LATEST = """
SELECT *, bool_or(must) OVER (PARTITION BY topic_id, part, pos, name) AS counts
  FROM seen QUALIFY row_number() OVER (PARTITION BY topic_id, part, pos, name ORDER BY nth DESC) = 1
"""
_DIFFERENCES = """
CREATE VIEW expected AS
SELECT * FROM of_day UNION ALL SELECT * FROM of_others SEMI JOIN others USING (topic_id, part, pos, name);
CREATE VIEW latest AS {latest};
CREATE TABLE differences AS
SELECT CASE WHEN e.pos IS NULL THEN 'published_unknown' WHEN s.pos IS NULL THEN 'unpublished'
            ELSE 'published_otherwise' END AS kind,
       coalesce(e.topic_id, s.topic_id) AS topic_id, coalesce(e.part, s.part) AS part, coalesce(e.pos, s.pos) AS pos,
       coalesce(e.name, s.name) AS name
  FROM expected e FULL JOIN latest s USING (topic_id, part, pos, name)
 WHERE (s.pos IS NULL AND e.must) OR (e.pos IS NULL AND s.counts)
    OR (e.digest <> s.digest AND (e.must OR NOT {is_pane}));
"""
_UNKNOWN_PLACES = """
SELECT DISTINCT topic_id, part, pos FROM differences WHERE kind = 'published_unknown' AND topic_id <> '' ORDER BY ALL
"""
_WITHOUT_DROPPED = """
DELETE FROM differences USING dropped d WHERE kind = 'published_unknown'
   AND differences.topic_id = d.topic_id AND differences.part = d.part AND differences.pos = d.pos
"""
_COUNTS = "SELECT kind, count(*) FROM (SELECT DISTINCT kind, topic_id, part, pos, name FROM differences) GROUP BY kind"
_FIRST = """
SELECT DISTINCT kind, topic_id, part, pos, name FROM differences
QUALIFY dense_rank() OVER (PARTITION BY kind ORDER BY topic_id, part, pos, name) <= {most} ORDER BY ALL
"""
Row = tuple[str, int, int, str, bytes, bool, int]
"""Topic id, partition and position of the source; name of a pane, else empty; digest of key and value; whether a row
must be published, or whether a record counts; offset on the published topic."""


def no_rows(places: Iterator[Place]) -> Iterator[Row]:
    """Return no row of the ledger for any place."""
    return iter(())


def no_places(places: Iterator[Place]) -> Iterator[Place]:
    """Return none of the places."""
    return iter(())


def compare_rows(
    published: PublishedTopic,
    seen: Iterator[Row],
    expected: Iterator[Row],
    folder: Path,
    rows_at: Callable[[Iterator[Place]], Iterator[Row]] = no_rows,
    dropped: Callable[[Iterator[Place]], Iterator[Place]] = no_places,
) -> PublishedCheck:
    """Compare the records of a topic with those that the ledger's rows give, with bounded memory.

    Args:
        published: the topic.
        seen: rows of its records, read before all others; see :data:`Row`. One that does not count is only compared if
            it is a later record of a pane of which another record counts.
        expected: rows of the ledger that belong to the day.
        folder: for intermediate files.
        rows_at: returns rows of the ledger at places that no row of the day has, in order; it may return others.
        dropped: returns those of places, in order, whose rows the ledger has no more; they are no difference.
    """
    _write(folder / "seen.parquet", seen)
    compared = _write(folder / "of_day.parquet", expected)
    with opened_duckdb(folder, _MEMORY_BYTES) as duck:
        for name in ("seen", "of_day"):
            _create_view(duck, folder, name)
        duck.execute(_OTHERS)
        _write(folder / "of_others.parquet", rows_at(_places(duck, _OTHER_PLACES, folder / "other_places.parquet")))
        _create_view(duck, folder, "of_others")
        is_pane = published == "panes"
        duck.execute(_DIFFERENCES.format(is_pane=is_pane, latest=_LATEST if is_pane else _ALL))
        gone = dropped(_places(duck, _UNKNOWN_PLACES, folder / "unknown_places.parquet"))
        _write(folder / "dropped.parquet", ((*place, "", bytes(16), False, 0) for place in gone))
        _create_view(duck, folder, "dropped")
        duck.execute(_WITHOUT_DROPPED)
        counts: dict[str, int] = dict(duck.sql(_COUNTS).fetchall())
        examples: dict[str, list[str]] = {}
        for kind, topic_id, part, pos, name in duck.sql(_FIRST.format(most=_EXAMPLES)).fetchall():
            examples.setdefault(kind, []).append((name or f"{topic_id}/{part}/{pos}")[:_EXAMPLE_CHARACTERS])
    return PublishedCheck(
        published,
        compared,
        unpublished=counts.get("unpublished", 0),
        published_otherwise=counts.get("published_otherwise", 0),
        published_unknown=counts.get("published_unknown", 0),
        examples=examples,
    )


def _create_view(duck: duckdb.DuckDBPyConnection, folder: Path, name: str) -> None:
    duck.read_parquet(str(folder / f"{name}.parquet")).create_view(name)


def _places(duck: duckdb.DuckDBPyConnection, query: str, path: Path) -> Iterator[Place]:
    """Yield the places of a query from a file: DuckDB keeps the result of a query in memory."""
    duck.sql(query).write_parquet(str(path))
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _write(path: Path, rows: Iterator[Row]) -> int:
    """Write rows to a file; return how many must be published."""
    must = 0
    with pq.ParquetWriter(path, _SCHEMA, compression="lz4") as writer:
        while part := list(islice(rows, _ROWS)):
            must += sum(row[5] for row in part)
            columns = zip(*part, strict=True)
            arrays = [pa.array(values, each.type) for values, each in zip(columns, _SCHEMA, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA))
    return must
