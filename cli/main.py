"""Assemble the ``moderation`` command.

Exit codes: 0 done, 1 failed or refused with a reason, 2 wrong usage, 3 a defect was found. :mod:`stream.exit_codes`
has the table of errors.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from cli.accept_gap import accept_gap
from cli.archive import archive
from cli.bench import bench
from cli.bootstrap import bootstrap
from cli.certify import certify, keys
from cli.challenge import challenge
from cli.chaos import chaos
from cli.compare import compare
from cli.compare_topics import compare_topics
from cli.dead_letters import dead_letters
from cli.demo import demo
from cli.drift import drift
from cli.gate import gate
from cli.generate import generate
from cli.grants import grants
from cli.history import history
from cli.import_files import import_files
from cli.label_errors import label_errors
from cli.lake import lake
from cli.missing_parts import is_missing_part, missing_part
from cli.output import progress
from cli.output_files import output_error
from cli.override import override
from cli.preview import preview
from cli.promote import promote, rollback
from cli.provision import migrate, partitions, topics
from cli.reconcile import reconcile
from cli.report import report
from cli.republish import republish
from cli.rescore import rescore
from cli.reset_watermark import reset_watermark
from cli.retire import retire
from cli.retrain import retrain
from cli.score import explain_text, score
from cli.server_errors import server_error
from cli.skip import skip
from cli.source import replay, source
from cli.stack import down, status, up
from cli.train import train
from cli.version import print_version
from moderation.errors import ModerationError
from stream.exit_codes import command_exit_code

COMMANDS: dict[str, dict[str, Callable[..., None] | typer.Typer]] = {
    "Local stack": {"demo": demo, "up": up, "down": down, "status": status},
    "Data and models": {
        "generate": generate,
        "import": import_files,
        "source": source,
        "replay": replay,
        "archive": archive,
        "lake": lake,
        "train": train,
        "compare": compare,
        "report": report,
        "label-errors": label_errors,
        "score": score,
        "explain": explain_text,
    },
    "Model life": {
        "bootstrap": bootstrap,
        "retrain": retrain,
        "gate": gate,
        "challenge": challenge,
        "promote": promote,
        "rollback": rollback,
        "certify": certify,
        "override": override,
        "keys": keys,
        "history": history,
        "drift": drift,
    },
    "Reconciliation": {
        "reconcile": reconcile,
        "compare-topics": compare_topics,
        "rescore": rescore,
        "preview": preview,
    },
    "Operations": {
        "migrate": migrate,
        "grants": grants,
        "partitions": partitions,
        "retire": retire,
        "topics": topics,
        "dead-letters": dead_letters,
        "republish": republish,
        "accept-gap": accept_gap,
        "skip": skip,
        "reset-watermark": reset_watermark,
    },
    "Benchmarks and proofs": {"bench": bench, "chaos": chaos},
}
"""Commands by name, grouped as the help shows them."""

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown")


@app.callback()
def moderation(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Real-time comment moderation: run the stack, send traffic, train models, check decisions."""


for panel, commands in COMMANDS.items():
    for name, command in commands.items():
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, rich_help_panel=panel)
        else:
            app.command(name, rich_help_panel=panel)(command)


def main() -> None:
    """Run the command; print an error of the project as one line and end with its exit code."""
    try:
        app()
    except Exception as error:
        shown = _shown(error)
        if shown is None:
            raise
        progress.print(f"[red]error[/red] [bold]{type(shown).__name__}[/bold]", end=" ")
        progress.print(str(shown), markup=False, highlight=False, soft_wrap=not progress.is_terminal)
        raise SystemExit(command_exit_code(shown)) from None


def _shown(error: Exception) -> ModerationError | None:
    """Return the error to print; None for a defect, whose traceback is needed."""
    if isinstance(error, ModerationError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return output_error(Path(error.filename or "output"), error)
    if isinstance(error, ImportError) and is_missing_part(error):
        return missing_part(error)
    return server_error(error)


if __name__ == "__main__":
    main()
