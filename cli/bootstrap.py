"""``moderation bootstrap``: put an untrained model into production, so that a fresh system decides."""

from __future__ import annotations

from getpass import getuser
from typing import TYPE_CHECKING, Annotated

import typer

from batch.first_model.params import PARAMS
from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, progress

if TYPE_CHECKING:
    from batch.first_model.run import BootstrapReport


def bootstrap(
    review_share: Annotated[float, typer.Option(min=0, max=1, help=PARAMS["review_share"]["description"])] = PARAMS[
        "review_share"
    ]["default"],
    reason: Annotated[str, typer.Option(help=PARAMS["reason"]["description"])] = PARAMS["reason"]["default"],
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Register, certify and serve an untrained model; the first retraining that passes the gate replaces it.

    It gives every text the same score and removes nothing. A random share of the comments is reviewed, drawn with
    MODERATION_EXPLORATION_KEY; all others are allowed. Safe to repeat. The command refuses if another version is in
    production or has decided already.

    Example: `moderation bootstrap --review-share 0.05`

    --json prints {"version", "is_new": false if it was in production already, "review_share", "policy_version",
    "model_digest"}.
    """
    from batch.first_model.run import bootstrap as put_into_production

    settings = connected_settings(data_folder)
    with progress.status("starting") as status:
        report = put_into_production(
            settings,
            review_share=review_share,
            by=getuser(),
            reason=reason,
            requested_from="moderation bootstrap",
            on_progress=status.update,
        )
    if as_json:
        print_json(report.fields())
    else:
        _show(report)


def _show(report: BootstrapReport) -> None:
    since = "serves from now on" if report.is_new else "was in production already"
    console.print(f"version {report.version} is the bootstrap model; it {since}")
    console.print(f"{report.review_share:.4%} of the comments are reviewed, drawn at random; the others are allowed")
    console.print("next: moderators act on comments; once labels are mature, retrain_model trains the first model")
