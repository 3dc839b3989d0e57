"""``moderation compare``: compare this project's model with usual models on the same folds."""

from __future__ import annotations

import csv as csv_files
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Column, Table

from cli.compared_models import compared_models, names_version
from cli.import_options import ImportOptions, with_import_options
from cli.labelled_input import show_left_out, start_import
from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, json_bytes, print_json, progress
from cli.output_files import check_output_file, check_output_folder, replaced_folder, write_file
from cli.progress_bar import shown_progress

if TYPE_CHECKING:
    from moderation.adapters.registry.comparison_log import ComparisonLog
    from moderation.training.benchmark.comparison import ModelComparison

TABLE, PICTURE, FIELDS = "comparison.csv", "comparison.png", "comparison.json"


@with_import_options(training=True)
def compare(
    given: ImportOptions,
    out: Annotated[
        Path | None, typer.Option(help=f"Write {TABLE}, {PICTURE} and {FIELDS} to this folder.", file_okay=False)
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the plot to this PNG.", dir_okay=False)] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="MODEL",
            help="Another model; may be repeated. A registered version (3, models:/NAME/3, models:/NAME@production), a "
            "folder of `moderation train`, or MODULE:CALLABLE that returns an unfitted scikit-learn estimator.",
        ),
    ] = None,
    usual: Annotated[
        bool, typer.Option("--usual/--no-usual", help="Whether to compare the seven usual models as well.")
    ] = True,
    log: Annotated[bool, typer.Option("--log", help="Log to MLflow: one run, with a nested run per model.")] = False,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds of the cross-validation.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds, models and bootstrap.")] = 0,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Compare logistic regression, LDA, k-nearest neighbours, naive Bayes, SGD, random forest and gradient boosting.

    The model of `moderation train` is the baseline. All models are evaluated on the same folds. An interval shows
    whether a difference from the baseline is significant. The same comments, folds and seed give the same figures,
    except for times.

    --with adds models. Registered versions and model folders are not fitted again: they score as they are, and are
    measured on comments that they were not trained on. Estimators of your own are imported from the current folder,
    get lists of texts, and are fitted on the folds.

    Example: `moderation compare export.csv --out comparison`

    Example: `moderation compare export.csv --no-usual --with 3 --with mymodels:linear_svm`

    --json prints {"data_digest", "comments", "removed", "folds", "seed", "confidence", "models", "bad_rows", "seconds",
    "logged"}, best model first: {"name", "title", "recipe", "auc_mean", "auc_folds", "auc_pooled", "average_precision",
    "brier", "calibration_error", "best_f1", "comments", "fit_seconds", "comments_per_s",
    "auc_difference": null | {"value", "low", "high"}, "finding": "baseline" | "better" | "worse" | "unclear"}.
    "comments" of a model counts those that it is measured on; "fit_seconds" is null for a model that is fitted already.
    "logged" is the URL of the run, or null.
    """
    others = models or []
    inputs = [*given.inputs, *(Path(value) for value in others if Path(value).is_dir())]
    if out is not None:
        check_output_folder(out, inputs)
    if plot is not None:
        check_output_file(plot, inputs)
    from moderation.bootstrap import new_lexicon
    from moderation.scoring import new_pipeline
    from moderation.settings import load_settings, secret_text
    from moderation.training import collect_examples
    from moderation.training.benchmark.baselines import ModelSpec, usual_baselines
    from moderation.training.benchmark.comparison import compare as compare_models

    if not usual and not others:
        raise typer.BadParameter("it leaves nothing to compare: name models by --with", param_hint="--no-usual")
    needs_registry = log or any(map(names_version, others))
    settings = connected_settings(data_folder) if needs_registry else load_settings()
    started = time.monotonic()
    with shown_progress("starting") as status:
        kept_in = None
        if log:
            from moderation.adapters.registry.client import use_account
            from moderation.adapters.registry.comparison_log import ComparisonLog

            status.update("connecting to MLflow")
            use_account(settings.mlflow_username, secret_text(settings.mlflow_password))
            kept_in = ComparisonLog(settings.mlflow_url, settings.model_name)
        lexicon = new_lexicon(settings)
        status.update("opening models")
        specs = compared_models(others, settings, lexicon)  # before the comments: a wrong name is reported at once
        imported = start_import(given, status.update, seed=seed, data_folder=data_folder)
        examples = collect_examples((row.comment, row.removed) for row in imported.comments(status.update))
        pipeline = ModelSpec(
            "pipeline",
            "our pipeline",
            "CommentFeatures → LogisticRegression (moderation train)",
            lambda: new_pipeline(lexicon),
        )
        comparison = compare_models(
            examples,
            pipeline,
            [*specs, *(usual_baselines(lexicon, seed) if usual else [])],
            folds=folds,
            seed=seed,
            on_progress=status.update,
        )
        seconds = round(time.monotonic() - started, 1)
        fields = {**comparison.fields(), "bad_rows": imported.bad_row_count, "seconds": seconds}
        status.update("drawing and writing")
        logged = _keep(comparison, fields, out, plot, kept_in)
    show_left_out(imported)
    for spec in specs:
        if spec.is_fitted and spec.seen is None:
            text = f"warning: {spec.title}: its training texts are unknown, so it is measured on all comments"
            progress.print(text, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print_json({**fields, "logged": logged})
        return
    _print_table(fields)
    for kept in (out, plot, logged):
        if kept is not None:
            console.print(f"written to {kept}", markup=False, soft_wrap=True, highlight=False)


def _keep(
    comparison: ModelComparison, fields: dict[str, Any], out: Path | None, plot: Path | None, log: ComparisonLog | None
) -> str | None:
    """Write the files that were asked for; return the URL of the logged run, None without one."""
    if out is None and plot is None and log is None:
        return None
    from moderation.training.plots.comparison import draw_comparison

    with tempfile.TemporaryDirectory(prefix="moderation-compare-") as scratch:
        files = [Path(scratch) / name for name in (TABLE, PICTURE, FIELDS)]
        _write_table(files[0], fields)
        draw_comparison(files[1], comparison)
        files[2].write_bytes(json_bytes(fields))
        if out is not None:
            with replaced_folder(out) as folder:
                for file in files:
                    shutil.copyfile(file, folder / file.name)
        if plot is not None:
            write_file(plot, files[1].read_bytes())
        return None if log is None else log.keep(comparison, files)


def _write_table(path: Path, fields: dict[str, Any]) -> None:
    """Write one line per model; a list or an object of the JSON becomes several columns."""
    folds = [f"auc_fold_{number}" for number in range(1, fields["folds"] + 1)]
    ends = ["value", "low", "high"]
    plain = [name for name in fields["models"][0] if name not in ("auc_folds", "auc_difference")]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv_files.writer(file)
        table.writerow([*plain, *folds, *(f"auc_difference_{end}" for end in ends)])
        for model in fields["models"]:
            difference = model["auc_difference"] or dict.fromkeys(ends, "")
            row = [*(model[name] for name in plain), *model["auc_folds"], *(difference[end] for end in ends)]
            table.writerow(row)


def _print_table(fields: dict[str, Any]) -> None:
    quality = Table(
        "model",
        *(
            Column(name, justify="right")
            for name in ("comments", "ROC AUC", "of folds", "avg. prec.", "Brier", "best F1")
        ),
        title=f"{fields['comments']:,} comments, {fields['removed']:,} removed; {fields['folds']} folds",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    beside = Table(
        "model",
        Column("AUC minus baseline", no_wrap=True),
        "finding",
        *(Column(name, justify="right") for name in ("fit s", "comments/s")),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for model in fields["models"]:
        difference = model["auc_difference"]
        style = "bold" if difference is None else None
        quality.add_row(
            model["title"],
            f"{model['comments']:,}",
            f"{model['auc_mean']:.4f}",
            f"{min(model['auc_folds']):.3f}–{max(model['auc_folds']):.3f}",
            *(f"{model[name]:.4f}" for name in ("average_precision", "brier", "best_f1")),
            style=style,
        )
        beside.add_row(
            model["title"],
            "–" if difference is None else _signed(difference),
            model["finding"],
            "–" if model["fit_seconds"] is None else f"{model['fit_seconds']:.2f}",
            f"{model['comments_per_s']:,}",
            style=style,
        )
    console.print(quality)
    console.print(beside)
    console.print(
        f"Differences are paired over the same comments; intervals are simultaneous with {fields['confidence']:.0%}."
    )


def _signed(difference: dict[str, float]) -> str:
    return f"{difference['value']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})"
