"""``moderation promote`` and ``moderation rollback``: which version serves, by a person's word."""

from __future__ import annotations

from dataclasses import asdict
from getpass import getuser
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markdown import Markdown

from cli.options import connected_settings
from cli.output import console, print_json, progress
from cli.stack import DEFAULT_FOLDER, FolderOption

if TYPE_CHECKING:
    from batch.promotion.run import Moved

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the version's tags.")]


def promote(
    reason: ReasonOption = "",
    version: Annotated[str, typer.Option(help="A version's number, or challenger.")] = "challenger",
    show: Annotated[bool, typer.Option("--show", help="Print what an approver is shown, and promote nothing.")] = False,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a certified version serve; the one that did becomes `previous`. Safe to repeat.

    The version's files are verified before any alias moves. Who, why and when are kept in its tags. In Airflow the DAG
    promote_model does the same, and asks a person first.

    --json prints {"version", "previous": str|null, "by", "reason", "is_new": false if it served already}; with --show
    {"version", "card_digest", "is_challenger", "replaces": str|null, "text": markdown}.
    """
    if not show and not reason.strip():
        raise typer.BadParameter("say why: it is kept with the version", param_hint="--reason")
    from batch.promotion import run
    from batch.promotion.proposal import propose

    settings = connected_settings(data_folder)
    if show:
        with progress.status("asking the registry"):
            shown = propose(settings, version)
        if as_json:
            print_json(asdict(shown))
        else:
            console.print(Markdown(shown.text))
        return
    with progress.status("verifying the version"):
        moved = run.promote(settings, version, by=getuser(), reason=reason)
    _print_result(moved, as_json)


def rollback(
    reason: ReasonOption,
    data_folder: FolderOption = DEFAULT_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make the version that served before serve again; what served becomes `previous`. Twice is as before.

    After a move by hand in the MLflow UI it is the version that was promoted last before that.

    --json prints the same as `moderation promote`.
    """
    from batch.promotion import run

    settings = connected_settings(data_folder)
    with progress.status("verifying the version"):
        moved = run.roll_back(settings, by=getuser(), reason=reason)
    _print_result(moved, as_json)


def _print_result(moved: Moved, as_json: bool) -> None:
    if as_json:
        print_json(moved.fields())
        return
    was = f"; version {moved.previous} is previous" if moved.previous else ""
    console.print(f"version {moved.version} {'serves from now on' if moved.is_new else 'served already'}{was}")
