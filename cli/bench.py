"""``moderation bench``: ours beside what one would use otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.output import console, print_json, progress

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

    if csv is None:
        from moderation.sources.generator import TrafficConfig, labelled_history

        rows = list(labelled_history(TrafficConfig(days=1, comments_per_day=comments)))
    else:
        from moderation.sources.rscience import read_rscience

        rows = list(read_rscience(csv, lambda bad: progress.print(f"line {bad.line} left out: {bad.cause}")))
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
    from local.packages import check_packages

    check_packages()
    from local import stack
    from local.bench.archive import bench_archive as run
    from local.layout import StackLayout

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
