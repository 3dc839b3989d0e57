"""Run an engine on what a comparison by digests leaves; the ledger's digests are computed in plain Python."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from batch.reconcile.digests import OUTPUTS, settle
from batch.reconcile.engines import DuckDbEngine, Engine
from batch.reconcile.results import read_results
from moderation.adapters.reconciliation.ledger_digests import Hour
from tests.support.reconcile_oracle import AGES_MINUTES, MINUTE_US
from tests.support.reconcile_tables import HOUR_US, Decided, Seen, Tables, key_of, write, write_ledger

IsBeyond = Callable[[Decided], bool]
"""Whether a row is at or above the ledger's end."""
WORDS = ("allow", "review", "remove")
DIGEST_FIELDS = (
    *("event_us", "append_us", "score", "verdict", "fate", "community", "comment_id", "record_id", "model_version"),
    *("policy_version", "kernel_version", "repairs", "reasons", "part", "pos", "topic_id"),
)
"""Fields of a row that its digest or the key of its sum contains."""
COLUMNS = (
    *("topic_id", "part", "community", "start_us", "model_version", "policy_version", "kernel_version", "repairs"),
    *("fate", "age", "is_beyond", "rows", "upper", "lower"),
)
"""Columns of the digests that PostgreSQL exports."""
_KINDS = {
    **dict.fromkeys(("topic_id", "community", "model_version", "policy_version"), pa.string()),
    **dict.fromkeys(("kernel_version", "repairs", "upper", "lower"), pa.string()),
    **dict.fromkeys(("part", "fate", "age"), pa.int32()),
    **dict.fromkeys(("start_us", "rows"), pa.int64()),
    "is_beyond": pa.bool_(),
}


def halves_of(row: Decided) -> tuple[int, int]:
    """Return the signed numbers that the digest of a row starts with."""
    numbers = (row.pos, row.event_us, row.append_us, row.score)
    return _halves(numbers, WORDS[row.verdict], row.comment_id, row.record_id, row.reasons)


def digest_columns(row: Mapping[str, Any]) -> dict[str, int]:
    """Return the digest that belongs to a recomputed record, as its columns."""
    numbers = [row[name] for name in ("pos", "event_us", "append_us", "score")]
    halves = _halves(numbers, WORDS[row["verdict"]], row["comment_id"], row["record_id"], row["reasons"])
    return dict(zip(("digest_upper", "digest_lower"), halves, strict=True))


def _halves(numbers: Iterable[int], verdict: str, comment_id: str, record_id: bytes, reasons: str) -> tuple[int, int]:
    lengths = (len(comment_id.encode()), len(record_id))
    text = "|".join([*map(str, (*numbers, verdict, *lengths)), comment_id, *([reasons] if reasons else [])])
    digest = hashlib.sha256(text.encode() + record_id).digest()
    upper, lower = (int.from_bytes(digest[at : at + 8], "big", signed=True) for at in (0, 8))
    return upper, lower


def hour_of(row: Decided) -> Hour:
    """Return the partition and hour of a row."""
    return Hour(row.topic_id, row.part, row.event_us // HOUR_US * HOUR_US)


def digests_of(rows: Iterable[Decided], is_beyond: IsBeyond) -> list[tuple[object, ...]]:
    """Return what PostgreSQL computes, one row for each group and age, in the order of ``COLUMNS``."""
    groups: dict[tuple[object, ...], list[Decided]] = {}
    for row in rows:
        late_us = row.stored_us - (row.event_us // HOUR_US + 1) * HOUR_US
        age = sum(late_us > minutes * MINUTE_US for minutes in AGES_MINUTES)
        groups.setdefault((*key_of(row), row.kernel_version, row.repairs, row.fate, age, is_beyond(row)), []).append(
            row
        )
    return [
        (*key, len(group), *(str(sum(halves)) for halves in zip(*map(halves_of, group), strict=True)))
        for key, group in groups.items()
    ]


def write_digests(rows: Iterable[Decided], folder: Path, is_beyond: IsBeyond = lambda row: False) -> None:
    """Write the file that PostgreSQL would export."""
    lines = digests_of(rows, is_beyond)
    columns = list(zip(*lines, strict=True)) if lines else [()] * len(COLUMNS)
    arrays = [pa.array(values, _KINDS[name]) for values, name in zip(columns, COLUMNS, strict=True)]
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_arrays(arrays, names=COLUMNS), folder / "0.parquet")


def reconcile_by_digests(tables: Tables, engine: Engine | None = None) -> tuple[Seen, int, Counter[str]]:
    """Reconcile with the rows of differing hours only.

    Returns:
        The outcome, the number of differing hours, and the number of rows by input of the engine.
    """
    with TemporaryDirectory(prefix="o'hara's ") as name:
        folder = Path(name)
        (folder / "work").mkdir()
        inputs = write(tables, folder)
        for each in OUTPUTS:
            inputs[each] = folder / f"{each}_settled"

        def is_beyond(row: Decided) -> bool:
            return row.pos >= tables.cuts.get((row.topic_id, row.part), (0, 0))[1]

        write_digests(tables.ledger.values(), folder / "ledger_digests", is_beyond)
        with duckdb.connect() as duck:
            different = settle(duck, inputs, folder / "ledger_digests")
        rows = [row for row in tables.ledger.values() if hour_of(row) in different or is_beyond(row)]
        write_ledger([row.without_stored_us() for row in rows], inputs["ledger"])
        counts = Counter({each: pq.read_table(inputs[each]).num_rows for each in ("compared", "ledger")})
        results = (engine or DuckDbEngine()).run(inputs, folder / "work", lambda line: None)
        outcome = read_results(results, folder)
        seen = Seen(outcome, pq.read_table(outcome.differences).to_pylist(), list(outcome.difference_rows()))
        return seen, len(different), counts
