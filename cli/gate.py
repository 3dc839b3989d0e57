"""``moderation gate``: judge a registered version now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from batch.retrain.params import PARAMS
from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, progress

if TYPE_CHECKING:
    from batch.retrain.gate import GateReport


def gate(
    version: Annotated[str, typer.Argument(help="Number of a registered version.")],
    auc_margin: Annotated[float, typer.Option(help=PARAMS["auc_margin"]["description"], min=0, max=0.01)] = PARAMS[
        "auc_margin"
    ]["default"],
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Compare a registered version with production; if it passes, certify it and give it the alias challenger.

    It judges versions that `moderation train --register` registered while another version served, and judges others
    again, e.g. after a defect is resolved. A version that was trained on a file is compared on the newest 28 days of
    the lake that are newer than the file. A version that does not pass cannot be promoted; the exit code is 0.

    Example: `moderation gate 7`

    --json prints {"version", "production", "is_passed", "state", "needed_comments", "reasons": […], "figures": {…},
    "left_out": {…}, "notes": […], "goals": {"stated", "origin", "lowered"}, "intervals": {name: {"value", "low",
    "high"}}}.
    """
    from batch.retrain.gate import gate as judge_version
    from moderation.bootstrap import registry
    from moderation.errors import ConfigurationError
    from moderation.training.gate import GateLimits

    settings = connected_settings(data_folder)
    with progress.status("starting") as status:
        serving = registry(settings).resolve("production")
        if serving is not None and serving.version == version:
            raise ConfigurationError(
                str(serving), "it is production, with which the gate compares", "Name a version that does not serve."
            )
        judged = judge_version(settings, version, limits=GateLimits(auc_margin=auc_margin), on_progress=status.update)
    if as_json:
        print_json(judged.fields())
    else:
        show_gate(judged)


def show_gate(judged: GateReport) -> None:
    """Print the result of the gate."""
    from batch.retrain.gate import compared_with

    against = compared_with(judged)
    if judged.is_passed:
        console.print(f"the gate: compared with {against}; the version is certified and has the alias challenger")
        return
    console.print(f"the gate: compared with {against}; [bold]{judged.state}[/bold]:")
    for reason in judged.reasons:
        console.print(f"- {reason}", markup=False)
