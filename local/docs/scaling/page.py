"""Tables of docs/scaling.md; the text between them is written by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields

from batch.markdown import table
from local.docs.evidence import EVIDENCE
from local.docs.scaling.assumptions import Assumptions
from local.docs.scaling.measurements import Measurements
from local.docs.scaling.sizing import Sizes, costs, size

PAGE = EVIDENCE.parent / "scaling.md"
RATES = (1_000.0, 100_000.0, 1_000_000.0)
_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def updated_page(text: str, measured: Measurements, assumed: Assumptions) -> str:
    """Return the page with all tables rendered again.

    Args:
        text: of the page; tables are between ``<!-- table: NAME -->`` and ``<!-- end -->``.
        measured: measured figures.
        assumed: assumptions.

    Raises:
        ValueError: a table is missing or unknown.
    """
    rendered = tables(measured, assumed)
    names = [match[2] for match in _BLOCK.finditer(text)]
    if sorted(names) != sorted(rendered):
        raise ValueError(f"the page has the tables {sorted(names)}, not {sorted(rendered)}")
    return _BLOCK.sub(lambda match: f"{match[1]}{rendered[match[2]]}{match[3]}", text)


def tables(measured: Measurements, assumed: Assumptions) -> dict[str, str]:
    """Return all tables by name, as Markdown."""
    sizes = [size(rate, measured, assumed) for rate in RATES]
    return {
        "measured": _measured(measured),
        "assumed": _assumed(assumed),
        "sizes": _by_rate(sizes, _SIZES),
        "costs": _costs(sizes, measured, assumed),
    }


def _measured(measured: Measurements) -> str:
    rows = (
        ("comments one worker decides a second", f"{measured.worker_per_s:,.0f}", "stream"),
        (
            "the most measured, two workers on two cores with broker and database",
            f"{measured.most_per_s:,.0f}",
            "stream",
        ),
        ("CPU seconds for 1,000 comments: worker", f"{measured.worker_cpu_per_1000:.4f}", "stream"),
        ("CPU seconds for 1,000 comments: broker and database", f"{measured.servers_cpu_per_1000:.4f}", "stream"),
        ("p99 from sending to decision at 50 % of the most, ms", f"{measured.half_load_p99_ms:,.0f}", "stream"),
        ("the same at 90 %, ms", f"{measured.high_load_p99_ms:,.0f}", "stream"),
        ("most memory of a worker, GB", f"{measured.worker_bytes / 1e9:.2f}", "soak"),
        ("memory for each record id remembered, at most, bytes", f"{measured.id_bytes:,.0f}", "soak"),
        ("ledger, bytes a comment with indexes", f"{measured.ledger_bytes:,.0f}", "footprint"),
        ("write-ahead log, bytes a comment", f"{measured.wal_bytes:,.0f}", "footprint"),
        (
            "`comments`, `decisions` and `alerts`, bytes a comment, one copy",
            f"{measured.topic_bytes:,.0f}",
            "footprint",
        ),
        ("lake, bytes a comment: texts that repeat", f"{measured.lake_bytes:,.0f}", "archive"),
        ("lake, bytes a comment: not compressed at all", f"{measured.value_bytes:,.0f}", "archive"),
        ("comments archived a second by one process", f"{measured.archive_per_s:,.0f}", "archive"),
        ("largest day reconciled, rows", f"{measured.reconcile[-1][0]:,}", "batch"),
        ("its time by digests on two cores, without scoring, s", f"{measured.reconcile[-1][1]:,.1f}", "batch"),
        ("its memory at most, GB", f"{measured.reconcile_bytes / 1e9:.1f}", "batch"),
        ("rows a second of which PostgreSQL computes digests", f"{measured.snapshot_per_s:,.0f}", "batch"),
        ("comments scored again a second, on two cores", f"{measured.scored_per_s:,.0f}", "scored_day"),
    )
    return _table(
        "| figure | | from |", ((what, figure, f"[{name}](evidence/{name}.json)") for what, figure, name in rows)
    )


def _assumed(assumed: Assumptions) -> str:
    rows = (
        (f"`{field.name}`", f"{getattr(assumed, field.name):g}", field.metadata["meaning"]) for field in fields(assumed)
    )
    return _table("| assumption | | meaning |", rows)


def _table(header: str, rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(table(header, rows)) + "\n"


def _at_least_one_decimal(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:,.1f}" if value >= 0.1 else f"{value:,.2f}"


_SIZES: tuple[tuple[str, Callable[[Sizes], str]], ...] = (
    ("times the most measured", lambda s: _at_least_one_decimal(s.beyond)),
    ("workers", lambda s: f"{s.workers:,}"),
    ("CPU they use, cores", lambda s: _at_least_one_decimal(s.worker_cores)),
    ("memory of each at most, GB", lambda s: f"{s.worker_gb:.1f}"),
    ("partitions of `comments`", lambda s: f"{s.partitions:,}"),
    ("Kafka: written, MB/s", lambda s: _at_least_one_decimal(s.kafka_mb_per_s)),
    ("Kafka: kept, TB", lambda s: _at_least_one_decimal(s.kafka_tb)),
    ("brokers and PostgreSQL: CPU used, cores", lambda s: _at_least_one_decimal(s.server_cores)),
    ("ledger: commits a second, at least", lambda s: f"{s.commits_per_s:,.0f}"),
    ("ledger: write-ahead log, MB/s", lambda s: _at_least_one_decimal(s.wal_mb_per_s)),
    ("ledger: a day, TB", lambda s: f"{s.ledger_tb_per_day:,.2f}"),
    ("ledger: PostgreSQL servers, without standbys", lambda s: f"{s.servers:,}"),
    ("archivers", lambda s: f"{s.archivers:,}"),
    ("lake: a year, TB", lambda s: " to ".join(_at_least_one_decimal(tb) for tb in s.lake_tb_per_year)),
    ("rows of a day, million", lambda s: f"{s.day_rows / 1e6:,.0f}"),
    ("scoring them again on the measured machine, hours", lambda s: _at_least_one_decimal(s.scoring_hours)),
    ("scoring them within the assumed night, cores", lambda s: f"{s.scoring_cores:,}"),
    ("their digests in one PostgreSQL, hours", lambda s: _at_least_one_decimal(s.snapshot_hours)),
    ("comparing them on the measured machine, hours", lambda s: _at_least_one_decimal(s.duckdb_hours)),
    ("engine of the comparison", lambda s: "DuckDB" if s.is_one_machine_enough else f"Spark, {s.spark_cores:,} cores"),
)


def _by_rate(sizes: Sequence[Sizes], rows: Sequence[tuple[str, Callable[[Sizes], str]]]) -> str:
    header = "| comments a second | " + " | ".join(f"{each.per_s:,.0f}" for each in sizes) + " |"
    return _table(header, ((what, *(show(each) for each in sizes)) for what, show in rows))


def _costs(sizes: Sequence[Sizes], measured: Measurements, assumed: Assumptions) -> str:
    by_rate = {each.per_s: costs(each, measured, assumed) for each in sizes}
    parts = [(part, lambda s, part=part: f"{by_rate[s.per_s][part]:.4f}") for part in by_rate[sizes[0].per_s]]
    total = ("**a million comments**", lambda s: f"**{sum(by_rate[s.per_s].values()):.4f}**")
    return _by_rate(sizes, [*parts, total])
