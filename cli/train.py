"""``moderation train``: train a model on labelled comments and write a model folder."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import asdict
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.import_options import ImportOptions, with_import_options
from cli.labelled_input import show_left_out, start_import
from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, percent, policy_fields, print_json, progress, threshold
from cli.output_files import check_output_folder, replaced_folder
from cli.progress_bar import shown_progress

if TYPE_CHECKING:
    from moderation.training.metrics import Metrics
    from moderation.training.outcome import Registration, TrainReport

# Without a precision goal the policy removes nothing automatically: the safe default.
DEFAULT_GOALS = ("review_share<=0.2",)
UNUSUAL_AUC = 0.98
"""ROC AUC from which on a warning of leakage is printed."""


@with_import_options(training=True)
def train(
    given: ImportOptions,
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    goal: Annotated[
        list[str] | None,
        typer.Option(
            help="Goal of the policy; may be repeated, e.g. precision>=0.9, recall>=0.8, reviews_per_day<=200."
        ),
    ] = None,
    comments_per_day: Annotated[
        float | None, typer.Option(min=0, help="Comments a day; needed for reviews_per_day.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds of the cross-validation.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the folds.")] = 0,
    register: Annotated[
        bool, typer.Option(help="Register it. While no version serves: certify it and give it the alias production.")
    ] = False,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Train a model: cross-validate, calibrate, resolve the goals to thresholds, write the model folder.

    The same file, goals, folds and seed give the same model digest. Encoding, delimiter and columns are guessed and
    printed, and can be stated; the model card records them.

    With --register, while no version serves, a gate judges the measurements: the AUC must be better than chance. A
    model that does not pass is registered without certificate and alias, and the command fails. While another trained
    version serves, the new one gets no certificate: compare the two with `moderation gate`.

    Example: `moderation train export.csv --out model --goal "precision>=0.9" --goal "review_share<=0.1"`

    --json prints {"model_digest", "data_digest", "metrics": {…}, "policy": {…}, "bad_rows", "import": {…}, "seconds",
    "registered": null or {"version", "production": bool, "certified": bool}}.
    """
    # Imported here, as in every command: `--help` does not wait seconds for scikit-learn and spaCy.
    from moderation.bootstrap import register as register_folder
    from moderation.bootstrap import train_to_folder
    from moderation.policy import parse_goal
    from moderation.settings import load_settings

    settings = connected_settings(data_folder) if register else load_settings()
    goals = [parse_goal(text) for text in goal or DEFAULT_GOALS]
    check_output_folder(out, given.inputs)
    started = time.monotonic()
    with shown_progress("starting") as status:
        imported = start_import(given, status.update, seed=seed, data_folder=data_folder)
        with replaced_folder(out, last=("model.json",)) as folder:
            report = train_to_folder(
                ((row.comment, row.removed) for row in imported.comments(status.update)),
                folder,
                goals,
                settings,
                folds=folds,
                seed=seed,
                comments_per_day=comments_per_day,
                weights=imported.weights,
                lineage=imported.lineage(),
                on_progress=status.update,
            )
            require_better_than_chance(report.metrics, given.accepted)
        registered = None
        if register:
            registered = register_folder(
                out,
                settings,
                "trained from the command line",
                by=getuser(),
                requested_from="moderation train --register",
            )
    seconds = time.monotonic() - started
    show_left_out(imported)
    if report.metrics.auc_mean >= UNUSUAL_AUC:
        progress.print(
            f"warning: a ROC AUC of {report.metrics.auc_mean:.4f} is unusual; often the label shows in the record. "
            "`moderation report` lists properties that predict it.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if as_json:
        print_json(
            {
                "model_digest": report.model_digest,
                "data_digest": report.data_digest,
                "metrics": asdict(report.metrics),
                "policy": policy_fields(report.policy),
                "bad_rows": imported.bad_row_count,
                **imported.lineage(),
                "seconds": round(seconds, 1),
                "registered": None
                if registered is None
                else {
                    "version": registered.version,
                    "production": registered.is_production,
                    "certified": registered.is_certified,
                },
            }
        )
    else:
        _print_report(report, out, seconds)
        if registered is not None:
            console.print(_registration_text(registered))


def require_better_than_chance(metrics: Metrics, accepted: Collection[str]) -> None:
    """Refuse a model whose scores say nothing about the labels, unless this is accepted.

    Args:
        metrics: of out-of-fold scores.
        accepted: values of ``--accept``.

    Raises:
        TrainingError: the interval of the ROC AUC includes 0.5.
    """
    from moderation.errors import TrainingError
    from moderation.training.first_gate import auc_interval

    low = auc_interval(metrics.auc_mean, metrics.removed, metrics.comments - metrics.removed, 0.95).low
    if low > 0.5 or "chance" in accepted:
        return
    raise TrainingError(
        "model",
        f"its ROC AUC of {metrics.auc_mean:.3f} is no better than chance (95 % interval from {low:.3f})",
        "Check with `moderation import FILE --dry-run` that text and label are the right columns, give more comments, "
        "or add --accept chance.",
    )


def _registration_text(registered: Registration) -> str:
    number = registered.version
    if registered.is_production:
        return f"registered and certified as version {number}; it has the alias production"
    if registered.is_certified:
        return (
            f"registered and certified as version {number}; the bootstrap model serves. "
            f"Let it serve with `moderation promote --version {number} --reason …`"
        )
    return (
        f"registered as version {number}; another version serves. "
        f"Judge it with `moderation gate {number}`, then promote it"
    )


def _print_report(report: TrainReport, out: Path, seconds: float) -> None:
    metrics, policy = report.metrics, report.policy
    table = Table(show_header=False, title=f"{metrics.comments:,} comments, {metrics.removed:,} removed by moderators")
    spread = f"{min(metrics.auc_folds):.3f} to {max(metrics.auc_folds):.3f}"
    table.add_row("ROC AUC, mean of folds", f"{metrics.auc_mean:.4f} ({spread})")
    table.add_row("average precision", f"{metrics.average_precision:.4f}")
    table.add_row("calibration error", f"{metrics.calibration_error:.4f}")
    table.add_row("best F1", f"{metrics.best_f1:.4f}")
    table.add_row("remove at", threshold(policy.remove_ppm))
    table.add_row("review at", threshold(policy.review_ppm))
    if policy.expected is not None:
        table.add_row("expected precision of removals", percent(policy.expected.precision))
        table.add_row("expected recall, removed or reviewed", percent(policy.expected.recall))
        table.add_row("expected share removed", percent(policy.expected.remove_share))
        table.add_row("expected share reviewed", percent(policy.expected.review_share))
        if (daily := policy.expected.reviews_per_day) is not None:
            table.add_row("expected reviews a day", f"{daily.value:.0f} ({daily.low:.0f}–{daily.high:.0f})")
    table.add_row("policy version", policy.policy_version)
    console.print(table)
    console.print(f"model digest {report.model_digest}", soft_wrap=True, highlight=False)
    console.print(f"{out} written in {seconds:.1f} s", markup=False)
