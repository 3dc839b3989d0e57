"""Run an engine on what a comparison by digests leaves; the ledger's digests are computed in plain Python."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from batch.reconcile.digests import settle
from batch.reconcile.engines import DuckDbEngine, Engine
from batch.reconcile.results import read_results
from moderation.adapters.reconciliation.ledger_digests import Hour, LedgerDigests, read_ledger_digests
from tests.support.reconcile_oracle import AGES_MINUTES, MINUTE_US
from tests.support.reconcile_tables import COUNTED, HOUR_US, Decided, Seen, Tables, key_of, write, write_ledger


def hash_of(row: Decided) -> int:
    """Return the number that the digest of a row starts with: upper and lower half are signed."""
    numbers = (row.part, row.pos, row.event_us, row.append_us, row.score, row.verdict, row.fate)
    texts = (
        *(row.topic_id, row.record_id.hex(), row.model_version, row.policy_version, row.kernel_version),
        *(row.repairs, row.reasons, row.community, row.comment_id),
    )
    text = "|".join([*map(str, numbers), *(f"{len(each.encode())}:{each}" for each in texts)])
    digest = hashlib.sha256(text.encode()).digest()
    upper, lower = (int.from_bytes(digest[at : at + 8], "big", signed=True) for at in (0, 8))
    return (upper * 2**64 + lower) % 2**128


def hour_of(row: Decided) -> Hour:
    """Return the partition and hour of a row."""
    return Hour(row.topic_id, row.part, row.event_us // HOUR_US * HOUR_US)


def write_digests(tables: Tables, folder: Path) -> LedgerDigests:
    """Write the file that PostgreSQL would export, one row for each pane, and read it."""
    rows = []
    panes: dict[tuple[object, ...], list[Decided]] = {}
    for row in tables.ledger.values():
        panes.setdefault((*key_of(row), row.fate == COUNTED), []).append(row)
    for (topic_id, part, community, start_us, model, policy, is_counted), group in panes.items():
        total = sum(map(hash_of, group)) % 2**128
        upper, lower = divmod(total, 2**64)
        ages = [
            sum(row.stored_us - (row.event_us // HOUR_US + 1) * HOUR_US <= minutes * MINUTE_US for row in group)
            for minutes in AGES_MINUTES
        ]
        key = (topic_id, part, community, start_us, model, policy, is_counted)
        rows.append((*key, len(group), str(upper), str(lower), *ages))
    names = ("topic_id", "part", "community", "start_us", "model_version", "policy_version", "is_counted", "rows")
    fields = [*names, "upper", "lower", *(f"age{number}" for number in range(len(AGES_MINUTES)))]
    kinds = [pa.string(), pa.int32(), pa.string(), pa.int64(), pa.string(), pa.string(), pa.bool_(), pa.int64()]
    kinds += [pa.string(), pa.string(), *(pa.int64() for _ in AGES_MINUTES)]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(fields)
    arrays = [pa.array(values, kind) for values, kind in zip(columns, kinds, strict=True)]
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_arrays(arrays, names=fields), folder / "0.parquet")
    return read_ledger_digests(folder)


def reconcile_by_digests(tables: Tables, engine: Engine | None = None) -> tuple[Seen, int, Counter[str]]:
    """Reconcile with the rows of differing hours only.

    Returns:
        The outcome, the number of differing hours, and the number of rows by input of the engine.
    """
    with TemporaryDirectory(prefix="o'hara's ") as name:
        folder = Path(name)
        (folder / "work").mkdir()
        inputs = write(tables, folder)
        for each in ("compared", "ledger", "stored_ages"):
            inputs[each] = folder / f"{each}_settled"
        digests = write_digests(tables, folder / "ledger_digests")
        with duckdb.connect() as duck:
            different = settle(duck, inputs, digests)
        rows = [row for row in tables.ledger.values() if hour_of(row) in different]
        write_ledger([row.without_stored_us() for row in rows], inputs["ledger"])
        counts = Counter({each: pq.read_table(inputs[each]).num_rows for each in ("compared", "ledger")})
        results = (engine or DuckDbEngine()).run(inputs, folder / "work", lambda line: None)
        outcome = read_results(results, folder)
        seen = Seen(outcome, pq.read_table(outcome.differences).to_pylist(), list(outcome.difference_rows()))
        return seen, len(different), counts
