"""``moderation replay`` and ``moderation source``: recorded or generated traffic onto the topics."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import typer

from cli.options import connected_settings
from cli.output import console, print_json, progress
from cli.stack import DEFAULT_FOLDER, FolderOption

if TYPE_CHECKING:
    from stream.source import SendResult

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def replay(context: typer.Context, data_folder: FolderOption = DEFAULT_FOLDER) -> None:
    """Send traffic from this process and wait for every acknowledgement; resumes where it stopped.

    Takes the options of the source, e.g. --csv FILE --rate 200, --history FOLDER --fast, --shift-to now;
    `python -m stream source --help` lists them. --json prints one JSON object.
    """
    from stream.source import send_all
    from stream.source.cli import plan_of

    arguments = [word for word in context.args if word != "--json"]
    settings = connected_settings(data_folder)
    plan = plan_of(arguments, settings)
    with progress.status("sending") as status:

        def show(sent: SendResult) -> None:
            status.update(f"{sent.comments:,} comments and {sent.actions:,} actions")

        sent = send_all(settings, plan, show)
    if len(arguments) < len(context.args):
        print_json(
            {
                "comments": sent.comments,
                "actions": sent.actions,
                "refused": len(sent.refused),
                "resumed_after": sent.resumed_after,
                "seconds": round(sent.seconds, 2),
            }
        )
        return
    for refused in sent.refused:
        progress.print(f"refused: {refused}", markup=False)
    console.print(f"{sent.comments:,} comments and {sent.actions:,} actions in {sent.seconds:.1f} s")


def source(context: typer.Context, data_folder: FolderOption = DEFAULT_FOLDER) -> None:
    """Run the source as its own process, a Faust app on a timer; options as for replay. Ctrl-C ends it cleanly."""
    from local.stack.environment import inherited_environment
    from local.stack.worker import settings_environment

    settings = connected_settings(data_folder)
    command = [sys.executable, "-P", "-m", "stream", "source", *context.args]
    environment = {**inherited_environment(), **settings_environment(settings)}
    with subprocess.Popen(command, env=environment) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            code = process.wait()
    raise typer.Exit(code)
