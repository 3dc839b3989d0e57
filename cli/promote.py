"""``moderation promote`` and ``moderation rollback``: choose the model version that serves."""

from __future__ import annotations

from dataclasses import asdict
from getpass import getuser
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markdown import Markdown

from cli.options import DEFAULT_FOLDER, FolderOption, JsonOption, connected_settings
from cli.output import console, print_json, progress

if TYPE_CHECKING:
    from batch.promotion.run import PromotionResult

ReasonOption = Annotated[str, typer.Option("--reason", help="Reason; stored in the tags of the version.")]


def promote(
    reason: ReasonOption = "",
    version: Annotated[str, typer.Option(help="Version number or challenger.")] = "challenger",
    show: Annotated[bool, typer.Option("--show", help="Print what the approver sees; promote nothing.")] = False,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Promote a certified version to production; the former production version becomes `previous`. Safe to repeat.

    The files of the version are verified before any alias moves. User, reason and time are stored in its tags. The DAG
    promote_model does the same in Airflow after an approval.

    Example: `moderation promote --show`

    Example: `moderation promote --version 7 --reason "better recall on spam"`

    --json prints {"version", "previous": str|null, "by", "reason", "is_new": false if the version served already}. With
    --show it prints {"version", "card_digest", "is_challenger", "replaces": str|null, "text": markdown}.
    """
    if not show and not reason.strip():
        raise typer.BadParameter("give a reason: it is stored with the version", param_hint="--reason")
    from batch.promotion import run
    from batch.promotion.proposal import propose

    settings = connected_settings(data_folder)
    if show:
        with progress.status("reading the registry"):
            shown = propose(settings, version)
        if as_json:
            print_json(asdict(shown))
        else:
            console.print(Markdown(shown.text))
        return
    with progress.status("verifying the version"):
        moved = run.promote(settings, version, by=getuser(), reason=reason, origin=run.Origin("moderation promote"))
    _print_result(moved, as_json)


def rollback(
    reason: ReasonOption,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Promote the version that served before. Running it twice restores the original state.

    The current production version becomes `previous`. If an alias was moved by hand in the MLflow UI, the command
    promotes the version that was promoted last before that.

    Example: `moderation rollback --reason "too many false removals"`

    --json prints the same as `moderation promote`.
    """
    from batch.promotion import run

    settings = connected_settings(data_folder)
    with progress.status("verifying the version"):
        moved = run.roll_back(settings, by=getuser(), reason=reason, origin=run.Origin("moderation rollback"))
    _print_result(moved, as_json)


def _print_result(moved: PromotionResult, as_json: bool) -> None:
    if as_json:
        print_json(moved.fields())
        return
    was = f"; version {moved.previous} is previous" if moved.previous else ""
    console.print(f"version {moved.version} {'serves from now on' if moved.is_new else 'served already'}{was}")
