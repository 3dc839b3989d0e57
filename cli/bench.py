"""``moderation bench``: benchmarks of this project and of baseline designs."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.import_options import MOST_COMMENTS
from cli.options import JsonOption
from cli.output import console, print_json, progress
from cli.output_files import check_output_file, replaced_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.stack.layout import StackLayout
    from moderation.datasets.history import LabelledComment

TextsOption = Annotated[
    Path | None, typer.Option(help="Take the texts from an r/science export. Default: generated texts.")
]
StackOption = Annotated[Path, typer.Option(help="Folder of the benchmark's own stack: new, or an earlier one's.")]
_FOLDER = Path("var/bench")
bench = typer.Typer(help="Run a benchmark; with --json each prints one JSON object.", no_args_is_help=True)


@bench.command("kernel")
def bench_kernel(
    csv: TextsOption = None,
    comments: Annotated[int, typer.Option(min=1_000, help="How many generated texts.")] = 10_000,
    rounds: Annotated[int, typer.Option(min=1, help="Repetitions for each contender.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Time the kernel, spaCy's tokenizer, the spaCy pipeline and plain TF-IDF on one core.

    Example: `moderation bench kernel --comments 20000`
    """
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
    console.print(f"{figures['cache_hit_ratio']:.1%} of the chunks of new texts were in the cache")


@bench.command("worst-text")
def bench_worst_text(
    csv: TextsOption = None,
    steps: Annotated[int, typer.Option(min=1, help="How many shapes of text to try.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the search.")] = 18,
    as_json: JsonOption = False,
) -> None:
    """Search for the text that costs the most processor time per character; compare it with usual texts.

    Example: `moderation bench worst-text --steps 120`
    """
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


@bench.command("self-removal")
def bench_self_removal(
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions with other comments.")] = 10,
    generations: Annotated[int, typer.Option(min=1, help="Retrainings after the first model.")] = 5,
    comments: Annotated[int, typer.Option(min=1_000, help="Comments of a generation.")] = 3_000,
    removals: Annotated[float, typer.Option(min=0.001, max=1, help="Explored share of would-be removals.")] = 0.2,
    processes: Annotated[int, typer.Option(min=1, help="Repetitions at the same time.")] = 5,
    plot: Annotated[Path | None, typer.Option(help="PNG file to draw.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Retrain on labels that the model's own verdicts shaped, by three rules, and measure on all labels.

    Example: `moderation bench self-removal --seeds 2 --plot self_removal.png`

    --json prints {"settings", "auc": {rule: [[generation, …] of each seed]}, "auc_mean", "change": {rule: last minus
    first}, "drawn"}.
    """
    if plot is not None:
        check_output_file(plot)
    from local.bench.self_removal import RULES, SelfRemovalSettings, draw_self_removal, run_self_removal

    with progress.status("starting") as status:
        result = run_self_removal(SelfRemovalSettings(seeds, generations, comments, removals), status.update, processes)
    if plot is not None:
        with replaced_file(plot) as unfinished:
            draw_self_removal(result, unfinished)
    figures = result.fields()
    if as_json:
        print_json(figures)
        return
    table = Table("rule", *(f"generation {number}" for number in range(generations + 1)))
    for rule in RULES:
        table.add_row(rule, *(f"{each:.4f}" for each in figures["auc_mean"][rule]))
    console.print(table)


@bench.command("own-data")
def bench_own_data(
    rows: Annotated[
        list[int] | None,
        typer.Option(
            min=1_000, help="Rows of a file; may be repeated, in ascending order. Default: 0.2 and 1 million."
        ),
    ] = None,
    sample: Annotated[int, typer.Option(min=0, help="As for `moderation train`.")] = MOST_COMMENTS,
    as_json: JsonOption = False,
) -> None:
    """Import large CSV files of generated comments and train on them; measure seconds, CPU seconds and memory.

    Example: `moderation bench own-data --rows 20000 --rows 50000`
    """
    from local.bench.own_data import bench_own_data as run

    with progress.status("starting") as status:
        figures = run(sorted(rows or [200_000, 1_000_000]), sample, status.update)
    if as_json:
        print_json(figures)
        return
    table = Table("rows", "command", "seconds", "CPU seconds", "peak MB")
    for number, size in enumerate(figures["rows"]):
        for command in ("import", "train"):
            measured = figures[command][number]
            times = (f"{measured[name]:,.1f}" for name in ("seconds", "cpu_seconds"))
            table.add_row(f"{size:,}", command, *times, f"{measured['peak_rss_bytes'] / 1e6:,.0f}")
    console.print(table)


@bench.command("stream")
def bench_stream(
    csv: TextsOption = None,
    comments: Annotated[int, typer.Option(min=10_000, help="How many comments the topic contains.")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each contender.")] = 3,
    latency_seconds: Annotated[float, typer.Option(min=0, help="Length of each latency run; 0 for none.")] = 60.0,
    only: Annotated[
        list[str] | None, typer.Option(help="Run this contender only; may be repeated. Default: all.")
    ] = None,
    data_folder: StackOption = _FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Compare the worker with Faust per event, the REST design of the talk and a plain confluent-kafka loop.

    All contenders read the same preloaded topic in alternating rounds. The rate counts records on the topic of
    decisions. Latency is measured in an open loop, from the scheduled time of sending to the commit.

    Example: `moderation bench stream --rounds 5 --json`
    """
    with _own_stack(data_folder) as (layout, on_progress):
        from local.bench.stream.run import Bench, StreamBench, StreamBenchPlan

        plan = StreamBenchPlan(comments, rounds, latency_seconds, tuple(only or ()))
        rows = _labelled(csv)
        figures = StreamBench(Bench(layout, rows, on_progress), rows, plan, on_progress).run()
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
    csv: TextsOption = None,
    comments: Annotated[int, typer.Option(min=10_000, help="How many comments to send.")] = 5_000_000,
    plot: Annotated[
        Path | None, typer.Option(help="Write a plot of resident memory over comments to this PNG.")
    ] = None,
    data_folder: StackOption = _FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Send millions of comments through one worker and measure its memory.

    Example: `moderation bench soak --plot memory.png`
    """
    if plot is not None:
        check_output_file(plot)
    with _own_stack(data_folder) as (layout, on_progress):
        from local.bench.stream.run import Bench
        from local.bench.stream.soak import soak

        rows = _labelled(csv)
        with nullcontext() if plot is None else replaced_file(plot) as unfinished:
            figures = soak(Bench(layout, rows, on_progress), rows, comments, unfinished, on_progress)
    figures["settings"]["source"] = "generator" if csv is None else csv.name
    if as_json:
        print_json(figures)
        return
    console.print(f"{figures['records']:,} comments at {figures['per_s']:,} a second")
    console.print(f"resident memory grows by {figures['rss_growth_per_million'] / 1e6:,.1f} MB per million")


@bench.command("footprint")
def bench_footprint(
    csv: TextsOption = None,
    comments: Annotated[int, typer.Option(min=10_000, help="How many comments to decide.")] = 500_000,
    data_folder: StackOption = _FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Measure the bytes that one comment adds to the ledger, the write-ahead log and the topics.

    Example: `moderation bench footprint --comments 1000000`
    """
    with _own_stack(data_folder) as (layout, on_progress):
        from local.bench.stream.footprint import footprint
        from local.bench.stream.run import Bench

        rows = _labelled(csv)
        figures = footprint(Bench(layout, rows, on_progress), rows, comments, on_progress)
    figures["settings"]["source"] = "generator" if csv is None else csv.name
    if as_json:
        print_json(figures)
        return
    table = Table("bytes per comment", "")
    weights = figures["bytes_per_comment"]
    for name, weight in {"ledger": weights["ledger"], "write-ahead log": weights["wal"], **weights["topics"]}.items():
        table.add_row(name, f"{weight:,.0f}")
    console.print(table)


@bench.command("archive")
def bench_archive(
    comments: Annotated[int, typer.Option(min=1_000, help="How many comments to archive.")] = 1_000_000,
    characters: Annotated[int, typer.Option(min=100, help="Mean length of their bodies.")] = 321,
    data_folder: StackOption = _FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Archive a full topic on a stack of its own; measure seconds, memory and bytes. The stack is removed afterwards.

    Example: `moderation bench archive --comments 200000`
    """
    with _own_stack(data_folder) as (layout, on_progress):
        from local.bench.archive import bench_archive as run

        figures = run(layout, comments, characters, on_progress)
    if as_json:
        print_json(figures)
        return
    table = Table(show_header=False, title="archive")
    for name in ("rows", "seconds", "rows_per_s", "peak_rss_bytes", "bytes", "value_bytes", "files"):
        table.add_row(name.replace("_", " "), f"{figures[name]:,}")
    console.print(table)


@bench.command("batch")
def bench_batch(
    rows: Annotated[
        list[int] | None, typer.Option(min=10_000, help="Rows of a day; may be repeated. Default: 1, 3 and 10 million.")
    ] = None,
    rescored: Annotated[int, typer.Option(min=1_000, help="How many comments the day of a real lake has.")] = 200_000,
    csv: TextsOption = None,
    data_folder: StackOption = _FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Reconcile days of millions of rows by all rows and by digests, and a day of a real lake with and without scoring.

    Example: `moderation bench batch --rows 1000000`

    Example: `moderation bench batch --rows 10000000 --rescored 10000000`
    """
    with _own_stack(data_folder) as (layout, on_progress):
        from local.bench.batch import bench_batch as run
        from local.bench.stream.run import Bench

        sizes = rows or [1_000_000, 3_000_000, 10_000_000]
        texts = _labelled(csv)
        figures = run(Bench(layout, texts, on_progress), sizes, texts, rescored, on_progress)
    figures["settings"]["source"] = "generator" if csv is None else csv.name
    if as_json:
        print_json(figures)
        return
    table = Table("rows", "seconds, all rows", "seconds, digests")
    for row in zip(figures["rows"], figures["reconcile_seconds"], figures["digest_seconds"], strict=True):
        table.add_row(f"{row[0]:,}", *(f"{seconds:.1f}" for seconds in row[1:]))
    console.print(table)
    day = figures["lake_day"]
    console.print(
        f"{day['rows']:,} comments of a lake: all rows with scoring {day['full_seconds']:.1f} s, digests with scoring "
        f"{day['scoring_seconds']:.1f} s, digests without {day['again_seconds']:.1f} s"
    )
    console.print(
        f"at most {figures['peak_rss_bytes'] / 1e9:.2f} GB; {figures['rescore_per_s']:,} comments scored a second"
    )


@contextmanager
def _own_stack(data_folder: Path) -> Iterator[tuple[StackLayout, Callable[[str], None]]]:
    """Yield the layout of an empty data folder and a progress callback; remove the folder's stack afterwards.

    Raises:
        ConfigurationError: the folder is not that of a benchmark.
    """
    from local.stack.required_packages import check_packages

    check_packages()
    from local.stack import commands as stack
    from local.stack.folder_kind import FolderKind
    from local.stack.layout import StackLayout

    layout = StackLayout(data_folder.resolve())
    stack.empty(layout, FolderKind.BENCH)
    try:
        with progress.status("starting") as status:
            yield layout, status.update
    finally:
        stack.down(layout, purge=True)


def _labelled(csv: Path | None, comments: int = 10_000) -> list[LabelledComment]:
    if csv is None:
        from moderation.datasets.synthetic import TrafficConfig, labelled_history

        return list(labelled_history(TrafficConfig(days=1, comments_per_day=comments)))
    from moderation.datasets.importer import ACCEPTABLE, plain_import

    return list(plain_import(csv, accepted=ACCEPTABLE).comments())
