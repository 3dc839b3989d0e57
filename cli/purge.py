"""Ask before a data folder is deleted."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.output import progress
from stream.exit_codes import REPORTED

YesOption = Annotated[bool, typer.Option("--yes", help="Delete the data without asking.")]


def confirm_purge(root: Path, command: str, data_folder: Path, *, yes: bool) -> None:
    """Return if the data of a folder may be deleted.

    Args:
        root: the data folder.
        command: what deletes it without a question, without the folder.
        data_folder: the folder as the user named it.
        yes: whether the user gave ``--yes``.

    Raises:
        typer.BadParameter: nobody can be asked, because there is no terminal; exit code 2.
        typer.Exit: the user declined.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"the data of {root} would be deleted, and without a terminal nobody can be asked. "
            f"To delete them, type: {command} --data-folder {shlex.quote(str(data_folder))}",
            param_hint="--yes",
        )
    progress.print(f"delete the data of {root}? type yes: ", end="", markup=False, highlight=False, soft_wrap=True)
    if sys.stdin.readline().strip() != "yes":
        progress.print("nothing was deleted")
        raise typer.Exit(REPORTED)
