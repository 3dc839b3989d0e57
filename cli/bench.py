"""``moderation bench``: ours beside what one would use otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.output import console, print_json, progress

if TYPE_CHECKING:
    from moderation.datasets.history import LabelledComment

bench = typer.Typer(help="Benches; each prints one JSON object with --json.", no_args_is_help=True)


@bench.command("kernel")
def bench_kernel(
    csv: Annotated[Path | None, typer.Option(help="Texts of an r/science export; generated ones if absent.")] = None,
    comments: Annotated[int, typer.Option(min=1_000, help="How many generated texts.")] = 10_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each contender is timed.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time the kernel beside spaCy's tokenizer alone, the spaCy pipeline and plain TF-IDF, on one core."""
    from local.bench.kernel import bench_kernel as run

    rows = _labelled(csv, comments)
    texts = [row.comment.body for row in rows]
    with progress.status("starting") as status:
        figures = run(texts, [int(row.removed) for row in rows], rounds, status.update)
    figures["settings"]["source"] = "generator" if csv is None else csv.name
    if as_json:
        print_json(figures)
        return
    table = Table("comments per second, one core", "seen before", "never seen")
    for name in ("kernel", "tokenizer", "spacy_pipe", "tfidf_lr"):
        table.add_row(name, f"{figures[f'{name}_warm_per_s']:,}", f"{figures[f'{name}_fresh_per_s']:,}")
    console.print(table)
    console.print(f"{figures['cache_hit_ratio']:.1%} of the chunks of texts never seen were known")


@bench.command("worst-text")
def bench_worst_text(
    csv: Annotated[Path | None, typer.Option(help="Texts of an r/science export; generated ones if absent.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="How many shapes of text are tried.")] = 60,
    seed: Annotated[int, typer.Option(help="Of the search.")] = 18,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Search for the text that costs most processor time per character, and measure it beside usual ones."""
    from local.bench.worst_text import bench_worst_text as run

    rows = _labelled(csv, 5_000)
    with progress.status("starting") as status:
        figures = run(
            [row.comment.body for row in rows], [int(row.removed) for row in rows], steps, seed, status.update
        )
    figures["settings"]["source"] = "generator" if csv is None else csv.name
    if as_json:
        print_json(figures)
        return
    console.print(
        f"worst text: {figures['worst_ms_per_1000_characters']} ms of processor time per 1,000 characters, usual: "
        f"{figures['usual_ms_per_1000_characters']} ms; longest batch {figures['longest_batch_ms']} ms"
    )
    console.print(f"shape of its chunks: {figures['worst_shape']}")


@bench.command("stream")
def bench_stream(
    csv: Annotated[Path | None, typer.Option(help="Texts of an r/science export; generated ones if absent.")] = None,
    comments: Annotated[int, typer.Option(min=10_000, help="How many the topic holds.")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each contender runs.")] = 3,
    latency_seconds: Annotated[float, typer.Option(min=0, help="Length of each latency run; 0 for none.")] = 60.0,
    only: Annotated[list[str] | None, typer.Option(help="A contender to run; all if absent.")] = None,
    data_folder: Annotated[Path, typer.Option(help="Of the stack it runs on; emptied first.")] = Path("var/bench"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run the worker beside Faust per event, the talk's REST design and a plain confluent-kafka loop.

    All read the same preloaded topic in alternating rounds; a rate is what fills the topic of decisions. Latency is
    open loop, from the scheduled sending to the commit.
    """
    from local.stack.required_packages import check_packages

    check_packages()
    from local.bench.stream.run import Bench, Plan, StreamBench
    from local.stack import commands as stack
    from local.stack.layout import StackLayout

    layout = StackLayout(data_folder.resolve())
    plan = Plan(comments, rounds, latency_seconds, tuple(only or ()))
    try:
        with progress.status("starting") as status:
            rows = _labelled(csv)
            figures = StreamBench(Bench(layout, rows, status.update), rows, plan, status.update).run()
    finally:
        stack.down(layout, purge=True)
    figures["settings"]["source"] = "generator" if csv is None else csv.name
    if as_json:
        print_json(figures)
        return
    table = Table("contender", "comments a second", "CPU s per 1,000")
    for name, cpu in figures["cpu_seconds_per_1000"].items():
        table.add_row(name, f"{figures[f'{name}_per_s']:,}", f"{cpu['own']:.3f} + {cpu['broker_and_database']:.3f}")
    console.print(table)
    for load, latency in figures.get("latency", {}).items():
        console.print(f"latency, {load} % load: p50 {latency['p50_ms']} ms, p99 {latency['p99_ms']} ms")


@bench.command("soak")
def bench_soak(
    csv: Annotated[Path | None, typer.Option(help="Texts of an r/science export; generated ones if absent.")] = None,
    comments: Annotated[int, typer.Option(min=10_000, help="How many go through.")] = 5_000_000,
    plot: Annotated[Path | None, typer.Option(help="Draw resident memory over comments into this PNG.")] = None,
    data_folder: Annotated[Path, typer.Option(help="Of the stack it runs on; emptied first.")] = Path("var/bench"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Send millions of comments through one worker and watch its memory."""
    from local.stack.required_packages import check_packages

    check_packages()
    from local.bench.stream.run import Bench
    from local.bench.stream.soak import soak
    from local.stack import commands as stack
    from local.stack.layout import StackLayout

    layout = StackLayout(data_folder.resolve())
    try:
        with progress.status("starting") as status:
            rows = _labelled(csv)
            figures = soak(Bench(layout, rows, status.update), rows, comments, plot, status.update)
    finally:
        stack.down(layout, purge=True)
    figures["settings"]["source"] = "generator" if csv is None else csv.name
    if as_json:
        print_json(figures)
        return
    console.print(f"{figures['records']:,} comments at {figures['per_s']:,} a second")
    console.print(f"resident memory grows by {figures['rss_growth_per_million'] / 1e6:,.1f} MB per million")


@bench.command("footprint")
def bench_footprint(
    csv: Annotated[Path | None, typer.Option(help="Texts of an r/science export; generated ones if absent.")] = None,
    comments: Annotated[int, typer.Option(min=10_000, help="How many are decided.")] = 500_000,
    data_folder: Annotated[Path, typer.Option(help="Of the stack it runs on; emptied first.")] = Path("var/bench"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Decide comments and weigh what is left of each: in the ledger, in the write-ahead log, on the topics."""
    from local.stack.required_packages import check_packages

    check_packages()
    from local.bench.stream.footprint import footprint
    from local.bench.stream.run import Bench
    from local.stack import commands as stack
    from local.stack.layout import StackLayout

    layout = StackLayout(data_folder.resolve())
    try:
        with progress.status("starting") as status:
            rows = _labelled(csv)
            figures = footprint(Bench(layout, rows, status.update), rows, comments, status.update)
    finally:
        stack.down(layout, purge=True)
    figures["settings"]["source"] = "generator" if csv is None else csv.name
    if as_json:
        print_json(figures)
        return
    table = Table("bytes of a comment", "")
    weights = figures["bytes_per_comment"]
    for name, weight in {"ledger": weights["ledger"], "write-ahead log": weights["wal"], **weights["topics"]}.items():
        table.add_row(name, f"{weight:,.0f}")
    console.print(table)


@bench.command("archive")
def bench_archive(
    comments: Annotated[int, typer.Option(min=1_000, help="How many comments to archive.")] = 1_000_000,
    characters: Annotated[int, typer.Option(min=100, help="Mean length of their bodies.")] = 321,
    data_folder: Annotated[Path, typer.Option(help="Of a stack of the bench's own; emptied first.")] = Path(
        "var/bench"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fill topic comments of a stack of its own and archive it: seconds, memory, bytes. The stack is taken down."""
    from local.stack.required_packages import check_packages

    check_packages()
    from local.bench.archive import bench_archive as run
    from local.stack import commands as stack
    from local.stack.layout import StackLayout

    layout = StackLayout(data_folder.resolve())
    try:
        with progress.status("starting") as status:
            figures = run(layout, comments, characters, status.update)
    finally:
        stack.down(layout, purge=True)
    if as_json:
        print_json(figures)
        return
    table = Table(show_header=False, title="archive")
    for name in ("rows", "seconds", "rows_per_s", "peak_rss_bytes", "bytes", "value_bytes", "files"):
        table.add_row(name.replace("_", " "), f"{figures[name]:,}")
    console.print(table)


@bench.command("batch")
def bench_batch(
    rows: Annotated[list[int] | None, typer.Option(min=10_000, help="Rows of a day; 1, 3 and 10 million.")] = None,
    rescored: Annotated[int, typer.Option(min=1_000, help="How many comments are scored again.")] = 200_000,
    csv: Annotated[Path | None, typer.Option(help="Texts of an r/science export; generated ones if absent.")] = None,
    data_folder: Annotated[Path, typer.Option(help="Of the stack it runs on; emptied first.")] = Path("var/bench"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Reconcile days of millions of rows, rows leaving PostgreSQL included; scoring comments again is timed apart."""
    from local.stack.required_packages import check_packages

    check_packages()
    from local.bench.batch import bench_batch as run
    from local.bench.stream.run import Bench
    from local.stack import commands as stack
    from local.stack.layout import StackLayout

    layout = StackLayout(data_folder.resolve())
    sizes = rows or [1_000_000, 3_000_000, 10_000_000]
    try:
        with progress.status("starting") as status:
            texts = _labelled(csv)
            figures = run(Bench(layout, texts, status.update), sizes, texts, rescored, status.update)
    finally:
        stack.down(layout, purge=True)
    figures["settings"]["source"] = "generator" if csv is None else csv.name
    if as_json:
        print_json(figures)
        return
    table = Table("rows", "seconds")
    for size, seconds in zip(figures["rows"], figures["reconcile_seconds"], strict=True):
        table.add_row(f"{size:,}", f"{seconds:.1f}")
    console.print(table)
    console.print(
        f"at most {figures['peak_rss_bytes'] / 1e9:.2f} GB; {figures['rescore_per_s']:,} comments scored a second"
    )


def _labelled(csv: Path | None, comments: int = 10_000) -> list[LabelledComment]:
    if csv is None:
        from moderation.datasets.synthetic import TrafficConfig, labelled_history

        return list(labelled_history(TrafficConfig(days=1, comments_per_day=comments)))
    from moderation.datasets.rscience import read_rscience

    return list(read_rscience(csv, lambda bad: progress.print(f"line {bad.line} left out: {bad.cause}")))
