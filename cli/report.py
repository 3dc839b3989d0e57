"""``moderation report``: describe labelled comments on a static page with charts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from cli.import_options import ImportOptions, with_import_options
from cli.labelled_input import encodings_of, show_left_out, start_import
from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption
from cli.output import console, print_json, printable, progress
from cli.output_files import check_output_file, write_file
from cli.progress_bar import shown_progress
from cli.train import DEFAULT_GOALS
from moderation.errors import DatasetError


@with_import_options(training=True)
def report(
    given: ImportOptions,
    out: Annotated[Path, typer.Option(help="HTML file to write; an existing file is replaced.", dir_okay=False)],
    examples: Annotated[int, typer.Option(min=0, max=100, help="Comments of each kind to show with their text.")] = 0,
    without_labels: Annotated[
        bool, typer.Option("--without-labels", help="Describe comments that have no labels, without a model.")
    ] = False,
    goal: Annotated[
        list[str] | None, typer.Option(help="Goals whose thresholds to mark, as for `moderation train`.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds of the cross-validation.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the folds.")] = 0,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Write a static HTML page that describes labelled comments.

    The page shows balance, communities, lengths, removal rates over time, word clouds and informative words,
    duplicates, suspected labels and out-of-fold scores. It warns of leakage: edit marks, encodings, times, files and
    other properties of the record that predict the label nearly alone. It loads nothing from the network. It contains
    the text of comments only with --examples, and never words that few comments contain.

    Example: `moderation report export.csv --out report.html`

    With --without-labels it needs no labels, and shows communities, lengths, times, frequent words and duplicates.

    --json prints {"out", "comments", "removed", "times", "repeated_bodies", "contradicting_bodies",
    "tokens", "warnings", "auc_mean", "examples", "bad_rows", "seconds"}: times counts comments with a known time,
    repeated_bodies bodies that occur more than once, contradicting_bodies those of them that occur removed and kept,
    tokens distinct tokens; warnings are sentences about leakage. Without labels, removed, contradicting_bodies,
    warnings and auc_mean are null.
    """
    check_output_file(out, given.inputs)
    if without_labels:
        if given.actions is not None or examples or goal:
            raise typer.BadParameter("it excludes --actions, --examples and --goal", param_hint="--without-labels")
        _report_unlabelled(given, out, seed, data_folder, as_json)
        return
    from moderation.bootstrap import new_lexicon
    from moderation.policy import parse_goal
    from moderation.scoring import explain, new_pipeline
    from moderation.settings import load_settings
    from moderation.training import collect_examples, train
    from moderation.training.corpus_report import OutOfFold, explore, render

    goals = [parse_goal(text) for text in goal or DEFAULT_GOALS]
    started = time.monotonic()
    with shown_progress("reading comments") as status:
        imported = start_import(given, status.update, seed=seed, data_folder=data_folder)
        rows = list(imported.comments(status.update))
        gathered = collect_examples(((row.comment, row.removed) for row in rows), imported.weights)
        lexicon = new_lexicon(load_settings())
        trained = train(
            gathered,
            lambda: new_pipeline(lexicon),
            goals,
            folds=folds,
            seed=seed,
            lower_goals=True,
            on_progress=status.update,
        )
        status.update("counting")
        kernel = trained.estimator.kernel()
        exploration = explore(
            rows,
            lexicon,
            lambda tokens: [sum(part.logit for part in explain(kernel, token).tokens) for token in tokens],
            encodings_of(imported),
        )
        status.update("drawing and writing")
        judged = OutOfFold(trained.probability, trained.metrics, trained.policy)
        write_file(out, render(exploration, judged, imported.name, gathered.texts, examples))
    show_left_out(imported)
    warnings = exploration.leaks.warnings()
    for warning in warnings:
        progress.print(f"warning: {printable(warning)}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print_json(
            {
                "out": str(out),
                "comments": len(rows),
                "removed": int(exploration.removed.sum()),
                "times": exploration.times,
                "repeated_bodies": exploration.duplicates.bodies,
                "contradicting_bodies": exploration.duplicates.contradicting,
                "tokens": len(exploration.tokens.frequency),
                "warnings": warnings,
                "auc_mean": trained.metrics.auc_mean,
                "examples": examples,
                "bad_rows": imported.bad_row_count,
                "seconds": round(time.monotonic() - started, 1),
            }
        )
        return
    console.print(f"{out} shows {len(rows):,} comments", markup=False, highlight=False, soft_wrap=True)


def _report_unlabelled(given: ImportOptions, out: Path, seed: int, data_folder: Path, as_json: bool) -> None:
    """Write the page about comments whose labels are not used."""
    from moderation.bootstrap import new_lexicon
    from moderation.settings import load_settings
    from moderation.training.corpus_report.unlabelled import render_unlabelled

    started = time.monotonic()
    with shown_progress("reading comments") as status:
        imported = start_import(given, status.update, needs_labels=False, seed=seed, data_folder=data_folder)
        rows = list(imported.comments(status.update))
        if not rows:
            raise DatasetError(imported.name, "it contains no comment that can be used", "Name another file.")
        status.update("counting and drawing")
        page = render_unlabelled(rows, new_lexicon(load_settings()), imported.name)
        write_file(out, page.html)
    show_left_out(imported)
    if as_json:
        print_json(
            {
                "out": str(out),
                "comments": len(rows),
                "removed": None,
                "times": page.times,
                "repeated_bodies": page.duplicates.bodies,
                "contradicting_bodies": None,
                "tokens": page.tokens,
                "warnings": None,
                "auc_mean": None,
                "examples": 0,
                "bad_rows": imported.bad_row_count,
                "seconds": round(time.monotonic() - started, 1),
            }
        )
        return
    console.print(f"{out} shows {len(rows):,} comments", markup=False, highlight=False, soft_wrap=True)
