"""Option ``--version``."""

from __future__ import annotations

import typer

from cli.output import print_line
from moderation.adapters.code_version import code_version


def print_version(asked: bool) -> None:
    """Print the version and end the command, if it was asked for."""
    if asked:
        print_line(f"comment-moderation {code_version()}")
        raise typer.Exit
