"""``moderation retrain``: run the training of DAG ``retrain_model`` from the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from batch.retrain.params import PARAMS
from cli.gate import show_gate
from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, progress

if TYPE_CHECKING:
    from batch.retrain.run import RetrainReport


def _help(name: str) -> Any:
    return typer.Option(help=PARAMS[name]["description"])


def retrain(
    days: Annotated[float, _help("days")] = PARAMS["days"]["default"],
    end: Annotated[str | None, _help("end")] = None,
    maturity_hours: Annotated[float, _help("maturity_hours")] = PARAMS["maturity_hours"]["default"],
    no_action: Annotated[str, _help("no_action")] = PARAMS["no_action"]["default"],
    family: Annotated[str, _help("family")] = PARAMS["family"]["default"],
    goal: Annotated[list[str] | None, _help("goals")] = None,
    explore_removals: Annotated[float | None, _help("explore_removals")] = None,
    explore_allowed: Annotated[float | None, _help("explore_allowed")] = None,
    seed: Annotated[int, _help("seed")] = PARAMS["seed"]["default"],
    newest_share: Annotated[float, _help("newest_share")] = PARAMS["newest_share"]["default"],
    auc_margin: Annotated[float, _help("auc_margin")] = PARAMS["auc_margin"]["default"],
    reason: Annotated[str, _help("reason")] = "from the command line",
    gate: Annotated[
        bool, typer.Option(help="Compare it with production; a version that passes gets the alias challenger.")
    ] = True,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Train a model on the comments and moderator actions of the lake, register it and compare it with production.

    Run `moderation archive` first. The same lake files, options and seed give the same model digest. A version that
    does not pass the gate stays registered, without certificate and alias; the exit code is 0. Goals, family and shares
    of exploration are those of production unless they are stated. If the lake has no labelled comment of the interval,
    nothing is trained; the exit code is 0.

    Example: `moderation retrain --days 28 --goal "precision>=0.9" --reason "new slang"`

    --json prints {"version", "run_id", "model_digest", "data_digest", "manifest_digest", "start_us", "end_us",
    "split_us", "counts": {name: n}, "metrics": {…}, "failures": {"count", "records"}, "goals": […],
    "goals_stated": […], "goals_lowered": […], "origins": {"goals", "family", "explore_removals", "explore_allowed"},
    "ignored": [], "exploration": "…", "skipped": null, "gate": null or {"version", "production", "is_passed", "state",
    "needed_comments", "reasons": […], "figures": {…}, "left_out": {…}, "notes": […], "goals": {"stated", "origin",
    "lowered"}, "bootstrap": version of the bootstrap model in production or null, "intervals": {name: {"value", "low",
    "high"}}}}. If nothing is trained, it prints {"skipped": reason}.
    """
    from batch.job_log import RETRAIN, job_logged
    from batch.retrain.gate import gate as judge_version
    from batch.retrain.new_labels import nothing_to_train
    from batch.retrain.options import parse_options
    from batch.retrain.run import retrain as retrain_on
    from moderation.training.gate import GateLimits

    stated = {
        "days": days,
        "end": end,
        "maturity_hours": maturity_hours,
        "no_action": no_action,
        "family": family,
        "goals": goal,
        "explore_removals": explore_removals,
        "explore_allowed": explore_allowed,
        "seed": seed,
        "newest_share": newest_share,
        "auc_margin": auc_margin,
        "reason": reason,
    }
    options = parse_options(stated, datetime.now(UTC), stated_in="command line")
    settings = connected_settings(data_folder)
    judged = None
    with progress.status("starting") as status:
        with job_logged(settings, RETRAIN, status.update) as log:
            # Who runs the command asks for a training, so comments that production was trained on count.
            nothing = nothing_to_train(settings, options, is_asked=True)
            if nothing is None:
                report = retrain_on(settings, options, started_by="moderation retrain", on_progress=status.update)
            else:
                log.skipped = nothing.reason
        if nothing is None and gate:
            judged = judge_version(
                settings, report.version, limits=GateLimits(auc_margin=auc_margin), on_progress=status.update
            )
    if nothing is not None:
        if as_json:
            print_json(nothing.fields())
        else:
            console.print(f"nothing was trained: {nothing.reason}", markup=False, soft_wrap=True)
        return
    if as_json:
        print_json({**report.fields(), "skipped": None, "gate": None if judged is None else judged.fields()})
        return
    _show(report)
    if judged is not None:
        show_gate(judged)


def _show(report: RetrainReport) -> None:
    table = Table(show_header=False, title=f"version {report.version}")
    for name, count in report.counts.items():
        table.add_row(name.replace("_", " "), f"{count:,}")
    table.add_row("goals", f"{', '.join(report.goals_stated)} (from: {report.origins['goals']})")
    table.add_row("ROC AUC, mean of folds", f"{report.metrics['auc_mean']:.4f}")
    console.print(table)
    console.print(f"model digest {report.model_digest}", soft_wrap=True, highlight=False)
    for line in report.goals_lowered:
        console.print(line, markup=False)
